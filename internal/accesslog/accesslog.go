package accesslog

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Format is who writes the log.
type Format string

// The formats.
const (
	Nginx   Format = "ingress-nginx"
	Envoy   Format = "envoy"
	Traefik Format = "traefik"
	JSON    Format = "json"
)

// ErrOther says that a line tells of no request: the controller writes of itself.
var ErrOther = errors.New("the line is of no request")

// ErrUnreadable says that a line may be of a request and has not the form of the log.
var ErrUnreadable = errors.New("the line has not the form of an access log")

// An Entry is one request. What a format does not tell is empty.
type Entry struct {
	At     time.Time
	Client netip.Addr
	// Host is the name that was asked for: lower case, without a port and the dot at its end.
	Host string
	// Backend is who it was passed to, in the controller's own words: "shop-web-80" of ingress-nginx, which are namespace, Service
	// and port; "shop-web-shop-example-org@kubernetes" of Traefik, which is its router.
	Backend string
	Agent   string
	Status  int
}

// Fields name the fields of JSON lines; dots lead into objects within. Names that are empty are not read.
type Fields struct {
	Time, Client, Host, Backend, Agent, Status string
}

// FieldsOf are the fields of a controller's own JSON lines: those that Traefik documents, and those that Envoy Gateway sets. Others
// have none of their own.
func FieldsOf(f Format) Fields {
	switch f {
	case Traefik:
		return Fields{Time: "StartUTC", Client: "ClientHost", Host: "RequestHost", Backend: "RouterName", Agent: "request_User-Agent", Status: "DownstreamStatus"}
	case Envoy:
		return Fields{Time: "start_time", Client: "x-forwarded-for", Host: ":authority", Backend: "route_name", Agent: "user-agent", Status: "response_code"}
	case Nginx, JSON:
	}
	return Fields{}
}

// Parse reads a line of a log. fields are for JSON lines; without any they are those of FieldsOf.
func Parse(f Format, fields Fields, line string) (Entry, error) {
	line = strings.TrimSpace(line)
	if line == "" {
		return Entry{}, ErrOther
	}
	if strings.HasPrefix(line, "{") {
		if fields == (Fields{}) {
			fields = FieldsOf(f)
		}
		return parseJSON(fields, line)
	}
	switch f {
	case Nginx:
		return parseNginx(line)
	case Envoy:
		return parseEnvoy(line)
	case Traefik:
		return parseTraefik(line)
	case JSON:
	}
	return Entry{}, fmt.Errorf("%w: it is no JSON object", ErrUnreadable)
}

// parseNginx reads what ingress-nginx writes by default:
//
//	$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"
//	$request_length $request_time [$proxy_upstream_name] [$proxy_alternative_upstream_name] $upstream_addr ...
//
// It has no name of a host: the upstream tells whose request it was.
func parseNginx(line string) (Entry, error) {
	if ofKlog(line) || ofNginxErrors(line) {
		return Entry{}, ErrOther
	}
	words := fieldsOf(line)
	if len(words) < 12 || words[1] != "-" {
		return Entry{}, fmt.Errorf("%w: ingress-nginx's own has at least 12 fields", ErrUnreadable)
	}
	return common(words, 3, 5, 8, strings.TrimPrefix(words[11], "upstream-"))
}

// parseTraefik reads the common log format as Traefik extends it:
//
//	client - user [time] "request" status length "referrer" "user agent" count "router" "server" 5ms
func parseTraefik(line string) (Entry, error) {
	if strings.HasPrefix(line, "time=") || ofZerolog(line) {
		return Entry{}, ErrOther
	}
	words := fieldsOf(line)
	if len(words) < 13 || words[1] != "-" || !strings.HasSuffix(words[12], "ms") {
		return Entry{}, fmt.Errorf("%w: Traefik's common format has 13 fields", ErrUnreadable)
	}
	router := words[10]
	if router == "-" {
		router = ""
	}
	return common(words, 3, 5, 8, router)
}

// common reads what both logs share with the common log format.
func common(words []string, at, status, agent int, backend string) (e Entry, err error) {
	if e.At, err = time.Parse("02/Jan/2006:15:04:05 -0700", words[at]); err != nil {
		return Entry{}, fmt.Errorf("%w: %q is no time", ErrUnreadable, words[at])
	}
	if e.Status, err = strconv.Atoi(words[status]); err != nil {
		return Entry{}, fmt.Errorf("%w: %q is no status", ErrUnreadable, words[status])
	}
	e.Client, e.Agent, e.Backend = client(words[0]), words[agent], backend
	return e, nil
}

// parseEnvoy reads Envoy's default format:
//
//	[start time] "method path protocol" code flags received sent duration service-time "forwarded for" "user agent" "request id"
//	"authority" "upstream host"
func parseEnvoy(line string) (e Entry, err error) {
	words := fieldsOf(line)
	if len(words) > 2 && strings.HasPrefix(line, "[") && strings.Contains(line, "][") {
		return Entry{}, ErrOther // [time][thread][level][component] ...
	}
	if len(words) < 13 {
		return Entry{}, fmt.Errorf("%w: Envoy's default format has 13 fields", ErrUnreadable)
	}
	if e.At, err = time.Parse(time.RFC3339Nano, words[0]); err != nil {
		return Entry{}, fmt.Errorf("%w: %q is no time", ErrUnreadable, words[0])
	}
	if e.Status, err = strconv.Atoi(words[2]); err != nil {
		return Entry{}, fmt.Errorf("%w: %q is no status", ErrUnreadable, words[2])
	}
	e.Client, e.Agent, e.Host = client(words[8]), words[9], host(words[11])
	return e, nil
}

// fieldsOf cuts a line at its spaces; what stands in quotes or square brackets is one field, without them. A quote that a backslash
// escapes ends nothing.
func fieldsOf(line string) []string {
	var out []string
	for line = strings.TrimLeft(line, " "); line != ""; line = strings.TrimLeft(line, " ") {
		until := byte(' ')
		switch line[0] {
		case '"':
			until = '"'
		case '[':
			until = ']'
		}
		if until == ' ' {
			word, rest, _ := strings.Cut(line, " ")
			out, line = append(out, word), rest
			continue
		}
		end := 1
		for end < len(line) && line[end] != until {
			if line[end] == '\\' {
				end++
			}
			end++
		}
		out = append(out, line[1:min(end, len(line))])
		line = line[min(end+1, len(line)):]
	}
	return out
}

// client is the first address of a list, as X-Forwarded-For is one; a port is cut off. The zero address says that none is told.
func client(text string) netip.Addr {
	text, _, _ = strings.Cut(text, ",")
	text = strings.TrimSpace(text)
	if at, err := netip.ParseAddrPort(text); err == nil {
		return at.Addr().Unmap()
	}
	addr, err := netip.ParseAddr(strings.Trim(text, "[]"))
	if err != nil {
		return netip.Addr{}
	}
	return addr.Unmap()
}

func host(text string) string {
	if text == "-" {
		return ""
	}
	text = strings.ToLower(text)
	if i := strings.LastIndexByte(text, ':'); i >= 0 && !strings.HasSuffix(text, "]") {
		text = text[:i]
	}
	return strings.TrimSuffix(text, ".")
}

// ofKlog reports whether Kubernetes's logger wrote a line: a letter for the level, the month and the day.
func ofKlog(line string) bool {
	return len(line) > 5 && strings.IndexByte("IWEF", line[0]) >= 0 && digits(line[1:5]) && line[5] == ' '
}

// ofNginxErrors reports whether it is of nginx's error log: 2026/01/31 12:00:00 [error] ...
func ofNginxErrors(line string) bool {
	_, err := time.Parse("2006/01/02 15:04:05", line[:min(19, len(line))])
	return err == nil
}

// ofZerolog reports whether it is of Traefik's own log in its form for people: 2026-01-31T12:00:00Z INF ...
func ofZerolog(line string) bool {
	first, _, _ := strings.Cut(line, " ")
	_, err := time.Parse(time.RFC3339, first)
	return err == nil
}

func digits(s string) bool {
	return strings.Trim(s, "0123456789") == ""
}

package accesslog

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// parseJSON reads a line that is an object. One without the field of the host and without that of the backend is none of a request.
func parseJSON(fields Fields, line string) (Entry, error) {
	if fields.Time == "" || fields.Host == "" && fields.Backend == "" {
		return Entry{}, fmt.Errorf("%w: it is JSON, and neither the field of the time nor that of the host or the backend is named", ErrUnreadable)
	}
	var object map[string]any
	decoder := json.NewDecoder(strings.NewReader(line))
	decoder.UseNumber()
	if err := decoder.Decode(&object); err != nil {
		return Entry{}, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	name, hasHost := textAt(object, fields.Host)
	backend, hasBackend := textAt(object, fields.Backend)
	if !hasHost && !hasBackend {
		return Entry{}, ErrOther
	}
	e := Entry{Host: host(name), Backend: backend}
	text, _ := textAt(object, fields.Time)
	var err error
	if e.At, err = timeOf(text); err != nil {
		return Entry{}, err
	}
	if text, ok := textAt(object, fields.Client); ok {
		e.Client = client(text)
	}
	e.Agent, _ = textAt(object, fields.Agent)
	if text, ok := textAt(object, fields.Status); ok {
		if e.Status, err = strconv.Atoi(text); err != nil {
			return Entry{}, fmt.Errorf("%w: %q is no status", ErrUnreadable, text)
		}
	}
	return e, nil
}

// timeOf reads a time in one of the forms that controllers write: RFC 3339, seconds since 1970 with or without a fraction, and that of the
// common log format.
func timeOf(text string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, "02/Jan/2006:15:04:05 -0700"} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	if seconds, err := strconv.ParseFloat(text, 64); err == nil && seconds > 0 && seconds < 1<<40 {
		return time.UnixMilli(int64(seconds * 1000)), nil
	}
	return time.Time{}, fmt.Errorf("%w: %q is no time", ErrUnreadable, text)
}

// textAt is the text or the number of a field. A field whose own name has dots is looked for first.
func textAt(object map[string]any, path string) (string, bool) {
	if path == "" {
		return "", false
	}
	if value, ok := object[path]; ok {
		switch value := value.(type) {
		case string:
			return value, true
		case json.Number:
			return value.String(), true
		}
		return "", false
	}
	first, rest, more := strings.Cut(path, ".")
	inner, ok := object[first].(map[string]any)
	if !more || !ok {
		return "", false
	}
	return textAt(inner, rest)
}

package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"time"

	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/program"
)

// Version of the message's form.
const Version = 1

// Message is one event, as receivers get it.
type Message struct {
	Version int `json:"version"`
	// ID is the same each time that the event is sent.
	ID string `json:"id"`
	// Event is approval-needed, window-waited, breach, returned, wave-done or migration-done.
	Event     string    `json:"event"`
	Time      time.Time `json:"time"` // of the event
	Migration string    `json:"migration"`
	Rehearsal bool      `json:"rehearsal"`
	Wave      int       `json:"wave,omitempty"`
	// Applications that it is about.
	Applications []string `json:"applications,omitempty"`
	Stage        string   `json:"stage,omitempty"`
	// Text is for people.
	Text string `json:"text"`
	// Until is when a wait ends by itself.
	Until *time.Time `json:"until,omitempty"`
	// Plan is the hash of what is to be approved.
	Plan string `json:"plan,omitempty"`
}

// Headers of a webhook's request. The signature is "sha256=" and the HMAC-SHA256 of the body in hexadecimal.
const (
	HeaderSignature = "X-Crossfade-Signature"
	HeaderEvent     = "X-Crossfade-Event"
	HeaderID        = "X-Crossfade-Id"
)

// Target is one receiver: URL or Command is set.
type Target struct {
	Name string
	URL  string
	// Secret signs the body; empty sends it without a signature.
	Secret  string
	Command []string
	// Dir is the working directory of the command.
	Dir string
	// Timeout of one try. Default 10s.
	Timeout time.Duration
	Tool    string
	// Clock waits between tries; nil is the machine's.
	Clock clock.Clock
}

const (
	tries          = 4
	firstPause     = time.Second
	defaultTimeout = 10 * time.Second
	// killAfter is how long what a command has left behind may keep its output open.
	killAfter = time.Second
)

// finalError says that trying again is of no use.
type finalError struct{ error }

// Sign is the signature of a body.
func Sign(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// Send tells the target of an event, with a few tries. Its error never repeats the URL, which may be a secret.
func (t Target) Send(ctx context.Context, m Message) error {
	body, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("write the message: %w", err)
	}
	wait := t.Clock
	if wait == nil {
		wait = clock.System{}
	}
	for try, pause := 1, firstPause; ; try, pause = try+1, 2*pause {
		err = t.once(ctx, m, body)
		var final finalError
		if err == nil || errors.As(err, &final) || try == tries || ctx.Err() != nil {
			break
		}
		if serr := wait.Sleep(ctx, pause); serr != nil {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("notify %s of %s: %w", t.Name, m.Event, err)
	}
	return nil
}

func (t Target) once(ctx context.Context, m Message, body []byte) error {
	timeout := t.Timeout
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if len(t.Command) > 0 {
		return t.run(ctx, m, body, timeout)
	}
	return t.post(ctx, m, body)
}

func (t Target) post(ctx context.Context, m Message, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.URL, bytes.NewReader(body))
	if err != nil {
		return finalError{errors.New("the URL cannot be used")}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "crossfade/"+t.Tool)
	req.Header.Set(HeaderEvent, m.Event)
	req.Header.Set(HeaderID, m.ID)
	if t.Secret != "" {
		req.Header.Set(HeaderSignature, Sign(t.Secret, body))
	}
	client := &http.Client{
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true},
		// A redirected POST would arrive as a GET, without its body.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		var with *url.Error
		if errors.As(err, &with) {
			err = with.Err // without the URL
		}
		return err
	}
	// What it says is not read but for the connection's sake.
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<16))
	if err := resp.Body.Close(); err != nil {
		return err
	}
	switch {
	case resp.StatusCode >= 200 && resp.StatusCode < 300:
		return nil
	case resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusRequestTimeout || resp.StatusCode >= 500:
		return fmt.Errorf("it answers %s", resp.Status)
	}
	return finalError{fmt.Errorf("it answers %s, which asking again does not change", resp.Status)}
}

// run gives the message to a program, which may also read the event and the ID from its environment.
func (t Target) run(ctx context.Context, m Message, body []byte, timeout time.Duration) error {
	cmd := program.Command(ctx, t.Command, killAfter)
	cmd.Dir, cmd.Stdin = t.Dir, bytes.NewReader(append(body, '\n'))
	cmd.Env = append(os.Environ(), "CROSSFADE_EVENT="+m.Event, "CROSSFADE_ID="+m.ID, "CROSSFADE_MIGRATION="+m.Migration)
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%s did not end within %s", t.Command[0], timeout)
	case errors.As(err, &exit):
		return fmt.Errorf("%s: %w", t.Command[0], err)
	}
	return finalError{fmt.Errorf("%s could not be run: %w", t.Command[0], err)}
}

package gcs

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"cloud.google.com/go/storage"
	"google.golang.org/api/googleapi"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/body"
)

// session is an upload that may outlive its process: https://cloud.google.com/storage/docs/performing-resumable-uploads.
//
//	POST …?uploadType=resumable, description and conditions ── 200, Location: the session's URL
//	PUT to it, bytes 0-8388607/20000000                     ── 308, Range: bytes=0-8388607: so much is kept, which may be less than was sent
//	PUT to it, bytes */20000000, without a body             ── the same, for who does not know it; or 200 with the object
//	PUT to it, the last bytes                               ── 200 with the object
//	DELETE                                                  ── 499
//
// Its bytes come in order and through one request after the other. It ends by itself after a week. What its URL lets one do, seal.go says.
type session struct {
	*write
	log  *bucket.Upload
	plan body.Plan
	url  *url.URL
	// at is how many bytes are kept.
	at int64
	// whole fails where the body is not what it was said to be. It is asked before the last bytes are sent, since these make the object.
	whole  func() error
	stored *storage.ObjectAttrs
}

// keptTag is the tag of every part: what tells whether bytes are those that were sent is the MD5 of the whole.
const keptTag = "kept"

// inSession writes a larger object so that it can be gone on with.
func (w *write) inSession(ctx context.Context, r io.Reader, size int64, opts bucket.PutOptions) (*storage.ObjectAttrs, []byte, error) {
	hashed := body.NewHash(r, true)
	s := &session{write: w, log: opts.Upload, plan: body.Plan{Size: size, PartSize: w.b.opts.PartSize, Workers: 1, Budget: opts.Budget}}
	s.whole = func() error { return body.CheckMD5(hashed.Sum(), opts.MD5) }
	state := s.log.State
	var err error
	if state.ID == "" {
		err = s.begin(ctx)
	} else {
		s.plan.PartSize = state.PartSize
		err = s.goOn(ctx, state)
	}
	if err != nil {
		return nil, nil, err
	}
	up := body.Upload{Log: s.log, Have: map[int]string{}, Send: s.send, Same: func(body.Part, string) bool { return true }}
	for number := 1; s.plan.Length(number) > 0 && int64(number-1)*s.plan.PartSize+s.plan.Length(number) <= s.at; number++ {
		up.Have[number] = keptTag
	}
	left := size - state.Offset(size)
	if err := up.All(ctx, &ending{r: body.Exact(hashed, left), left: left}, s.plan); err != nil {
		return nil, nil, err
	}
	if s.stored == nil {
		return nil, nil, fmt.Errorf("the service has %d bytes of %d and does not tell that they are an object", s.at, size)
	}
	return s.stored, hashed.Sum(), nil
}

// begin asks for a session.
func (s *session) begin(ctx context.Context) error {
	query := url.Values{
		"alt": {"json"}, "name": {s.attrs.Name}, "prettyPrint": {"false"}, "uploadType": {"resumable"},
		"fields": {"name,size,generation,metageneration,updated,storageClass,md5Hash,crc32c"},
	}
	if !condition(query, s.match) {
		return fmt.Errorf("%w: a condition without a generation", bucket.ErrUnsupported)
	}
	if s.attrs.KMSKeyName != "" {
		query.Set("kmsKeyName", s.attrs.KMSKeyName)
	}
	resource, err := json.Marshal(resourceOf(&s.attrs, s.b.opts.Bucket))
	if err != nil {
		return fmt.Errorf("describe the object: %w", err)
	}
	u := *s.b.uploads()
	u.RawQuery = query.Encode()
	header := http.Header{"Content-Type": {"application/json; charset=UTF-8"}, "X-Upload-Content-Length": {strconv.FormatInt(s.plan.Size, 10)}}
	if s.attrs.ContentType != "" {
		header.Set("X-Upload-Content-Type", s.attrs.ContentType)
	}
	answer, err := s.b.ask(ctx, http.MethodPost, &u, header, bytes.NewReader(resource), int64(len(resource)))
	if err != nil {
		return fmt.Errorf("begin an upload: %w", err)
	}
	if s.url, err = s.b.sessionAt(answer.header.Get("Location")); err != nil {
		return err
	}
	id, err := s.b.opts.Credentials.seal(s.url.String())
	if err != nil {
		return fmt.Errorf("remember an upload: %w", err)
	}
	return s.log.Note(bucket.UploadNote{ID: id, PartSize: s.plan.PartSize, Form: s.condition()})
}

// condition is that with which the session began, and will make the object.
func (s *session) condition() string {
	query := url.Values{}
	condition(query, s.match)
	return query.Encode()
}

// goOn finds out what is kept of a session that was begun before. One that would make the object on another condition is of no use.
func (s *session) goOn(ctx context.Context, state bucket.UploadState) (err error) {
	if s.url, err = s.b.remembered(state.ID); err != nil {
		return err
	}
	if state.Form != s.condition() {
		return errors.Join(bucket.ErrUploadGone, s.b.Abort(ctx, s.attrs.Name, state.ID))
	}
	return s.look(ctx)
}

// remembered is the URL of a session that was put on file. One that cannot be opened is as good as gone.
func (b *Bucket) remembered(id string) (*url.URL, error) {
	text, err := b.opts.Credentials.unseal(id)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", bucket.ErrUploadGone, err)
	}
	return b.sessionAt(text)
}

// sessionAt reads a session's URL, which must be where uploads go: requests to it carry credentials.
func (b *Bucket) sessionAt(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	to := b.uploads()
	if err != nil || text == "" || u.Scheme != to.Scheme || u.Host != to.Host {
		return nil, fmt.Errorf("%w: its URL is not one of %s://%s", bucket.ErrUploadGone, to.Scheme, to.Host)
	}
	return u, nil
}

// uploads is where uploads are sent: where the SDK does, or would by default.
func (b *Bucket) uploads() *url.URL {
	if to := b.wire.uploads.Load(); to != nil {
		return to
	}
	at, err := url.Parse(strings.TrimSuffix(cmp.Or(b.opts.Endpoint, "https://storage.googleapis.com"), "/"))
	if err != nil {
		return &url.URL{} // nothing can be sent there
	}
	return at.JoinPath("upload/storage/v1/b", b.opts.Bucket, "o")
}

// send sends what the service lacks of a part. Within a call it is tried a few times, since a session that is not remembered would have to be
// begun again.
func (s *session) send(ctx context.Context, part body.Part) (string, error) {
	first := int64(part.Number-1) * s.plan.PartSize
	end := first + int64(len(part.Data))
	if s.at < first {
		return "", fmt.Errorf("%w: it has lost bytes that it had", bucket.ErrUploadGone)
	}
	if end == s.plan.Size && s.stored == nil {
		if err := s.whole(); err != nil {
			return "", err
		}
		if err := s.log.Note(bucket.UploadNote{Completes: true}); err != nil {
			return "", err
		}
	}
	for failed := 0; s.at < end; {
		before := s.at
		err := s.put(ctx, part, s.at-first)
		if err == nil && s.at > before {
			failed = 0
			continue
		}
		if failed++; failed >= s.b.opts.Attempts || err != nil && !passing(err) {
			return "", cmp.Or(err, fmt.Errorf("send byte %d and more: the service keeps none of them", s.at))
		}
		if err := pause(ctx, time.Second<<(failed-1)); err != nil {
			return "", err
		}
		if err := s.look(ctx); err != nil {
			return "", err
		}
	}
	return keptTag, nil
}

// put sends the bytes of a part from one on.
func (s *session) put(ctx context.Context, part body.Part, from int64) error {
	in := part.Reader()
	if _, err := in.Seek(from, io.SeekStart); err != nil {
		return fmt.Errorf("send part %d: %w", part.Number, err)
	}
	length := int64(len(part.Data)) - from
	return s.chunk(ctx, fmt.Sprintf("bytes %d-%d/%d", s.at, s.at+length-1, s.plan.Size), in, length)
}

// look asks how much is kept.
func (s *session) look(ctx context.Context) error {
	return s.chunk(ctx, fmt.Sprintf("bytes */%d", s.plan.Size), http.NoBody, 0)
}

// chunk makes a request to the session and takes what its answer tells.
func (s *session) chunk(ctx context.Context, byteRange string, in io.Reader, length int64) error {
	answer, err := s.b.ask(ctx, http.MethodPut, s.url, http.Header{"Content-Range": {byteRange}}, in, length)
	switch said := (*googleapi.Error)(nil); {
	case errors.As(err, &said) && over(said.Code):
		return fmt.Errorf("go on with the upload: %w: %w", bucket.ErrUploadGone, err)
	case err != nil:
		return fmt.Errorf("go on with the upload at %s: %w", byteRange, err)
	case answer.status != http.StatusPermanentRedirect:
		if s.stored = told(answer.text); s.stored == nil {
			return errors.New("go on with the upload: the service answers without telling of the object")
		}
		s.at = s.plan.Size
		return nil
	}
	kept, err := keptOf(answer.header.Get("Range"))
	if err == nil && (kept > s.plan.Size || kept < s.at && length > 0) {
		err = fmt.Errorf("%w: it keeps %d bytes, where it has kept %d of %d", bucket.ErrUploadGone, kept, s.at, s.plan.Size)
	}
	if err != nil {
		return fmt.Errorf("go on with the upload: %w", err)
	}
	s.at = kept
	return nil
}

// over reports whether a status says that a session is not there any more.
func over(status int) bool {
	return status == http.StatusNotFound || status == http.StatusGone || status == statusCancelled
}

// statusCancelled is the answer about a session that was cancelled.
const statusCancelled = 499

// keptOf reads how many bytes are kept. None is told by no header.
func keptOf(header string) (int64, error) {
	if header == "" {
		return 0, nil
	}
	text, ok := strings.CutPrefix(header, "bytes=0-")
	last, err := strconv.ParseInt(text, 10, 64)
	if !ok || err != nil || last < 0 {
		return 0, fmt.Errorf("the service keeps the range %q, which is none from the beginning on", header)
	}
	return last + 1, nil
}

// answer is what a request of a session was answered with.
type answer struct {
	status int
	header http.Header
	text   []byte
}

// ask makes a request past the SDK, which does not give a session away. An answer that is neither success nor 308 is an error.
func (b *Bucket) ask(ctx context.Context, method string, u *url.URL, header http.Header, in io.Reader, length int64) (a answer, err error) {
	request, err := http.NewRequestWithContext(ctx, method, u.String(), io.NopCloser(in))
	if err != nil {
		return a, fmt.Errorf("%s: %w", method, err)
	}
	request.Header, request.ContentLength = header, length
	if length == 0 {
		request.Body = http.NoBody
	}
	got, err := b.wire.hot.Throttle.RoundTrip(request)
	if err != nil {
		return a, &url.Error{Op: method, URL: (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String(), Err: err}
	}
	defer func() { _ = got.Body.Close() }() // only read
	if got.StatusCode != http.StatusPermanentRedirect {
		if err := googleapi.CheckResponse(got); err != nil {
			return a, err
		}
	}
	a = answer{status: got.StatusCode, header: got.Header}
	a.text, err = io.ReadAll(io.LimitReader(got.Body, 64<<10))
	return a, err
}

// passing reports whether the same request may have another answer a moment later.
func passing(err error) bool {
	if said := (*googleapi.Error)(nil); errors.As(err, &said) {
		return said.Code == http.StatusRequestTimeout || said.Code == http.StatusTooManyRequests || said.Code >= http.StatusInternalServerError
	}
	var broken *url.Error
	return errors.As(err, &broken)
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// Abort implements bucket.Resumer.
func (b *Bucket) Abort(ctx context.Context, key, id string) error {
	at, err := b.remembered(id)
	if err != nil {
		return nil //nolint:nilerr // what nobody can ask for ends by itself
	}
	_, err = b.ask(ctx, http.MethodDelete, at, http.Header{}, http.NoBody, 0)
	if said := (*googleapi.Error)(nil); errors.As(err, &said) && (over(said.Code) || said.Code == http.StatusPreconditionFailed) {
		return nil
	}
	return b.fail("abort", key, err)
}

// Unfinished implements bucket.Resumer. The service lists no sessions: one whose URL was lost on its way here has no bytes, and ends by itself.
func (b *Bucket) Unfinished(context.Context, string) ([]bucket.Unfinished, error) { return nil, nil }

// ending is a body that gives its last bytes only where it has no more, and is not asked again then.
type ending struct {
	r    io.Reader
	left int64
}

// Read implements io.Reader.
func (e *ending) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n, err := e.r.Read(p[:min(int64(len(p)), e.left)])
	if e.left -= int64(n); e.left == 0 && err == nil {
		err = body.AtEnd(e.r)
	}
	if errors.Is(err, io.EOF) && e.left == 0 {
		err = nil
	}
	if err != nil && e.left == 0 {
		return 0, err
	}
	return n, err
}

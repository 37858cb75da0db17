package bucketsync

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"iter"
	"os"
	"strconv"
	"strings"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/internal/mend"
)

// The forms of a manifest. Each line behind the header is a record: in format 1 a JSON object, from format 2 on its fields
// between tabs, in the order of fields, with \\, \t and \n for a backslash, a tab and the end of a line. Before format 3 the hash of a
// content was a SHA-256; from then on its algorithm stands before it, with a colon. From format 4 on a line ends in a tab and the CRC-32C of
// what is before it, in hexadecimal: a line whose bytes have rotted is an error, and believed in nothing. All are read, the last is written.
const (
	formatJSON  = 1
	formatTabs  = 2
	formatTyped = 3
	// formatChecked has the check at the end of each line.
	formatChecked = 4
	// manifestFormat is the form that is written. Readers refuse a later one.
	manifestFormat = formatChecked
)

// checkLength is how long the check of a line is, with its tab.
const checkLength = 1 + 2*crc32.Size

// appendCheck appends the check of a line.
func appendCheck(to, line []byte) []byte {
	var sum [crc32.Size]byte
	binary.BigEndian.PutUint32(sum[:], crc32.Checksum(line, crc32.MakeTable(crc32.Castagnoli)))
	return hex.AppendEncode(append(to, '\t'), sum[:])
}

// checkLine says how much of a line, without its end, is the record, and whether it is as it was written.
func checkLine(line []byte, format int) (int, error) {
	if format < formatChecked {
		return len(line), nil
	}
	at := len(line) - checkLength
	var check [checkLength]byte
	if at < 0 || !bytes.Equal(appendCheck(check[:0], line[:at]), line[at:]) {
		return 0, errors.New("its checksum does not hold")
	}
	return at, nil
}

// damagedRecord is the error of a line that is not as it was written.
func damagedRecord(op string, err error) error {
	return &mend.Error{
		Op: op, Err: err,
		Hint: "the file was cut off or damaged: put it back from a backup; without one take it away and sync forward again, which compares both sides anew",
	}
}

// recordFields is how many fields a line has, without its check.
const recordFields = 14

// appendRecord writes a record as a line of the format that is written.
func appendRecord(to []byte, r *Record) []byte {
	begin := len(to)
	to = appendField(to, r.Key)
	to = append(append(to, '\t'), r.State...)
	for _, s := range []*Seen{&r.Source, &r.Destination} {
		to = appendField(append(to, '\t'), s.ETag)
		to = appendField(append(to, '\t'), s.Version)
		to = strconv.AppendInt(append(to, '\t'), s.Size, 10)
		to = strconv.AppendInt(append(to, '\t'), s.Modified, 10)
	}
	to = appendField(append(to, '\t'), r.Hash)
	to = appendField(append(to, '\t'), r.MD5)
	to = appendField(append(to, '\t'), r.Properties)
	to = appendField(append(to, '\t'), string(r.Evidence))
	return append(appendCheck(to, to[begin:]), '\n')
}

func appendField(to []byte, text string) []byte {
	if strings.IndexByte(text, '\\') < 0 && strings.IndexByte(text, '\t') < 0 && strings.IndexByte(text, '\n') < 0 {
		return append(to, text...)
	}
	for i := range len(text) {
		switch c := text[i]; c {
		case '\\':
			to = append(to, `\\`...)
		case '\t':
			to = append(to, `\t`...)
		case '\n':
			to = append(to, `\n`...)
		default:
			to = append(to, c)
		}
	}
	return to
}

// unescape reads a field.
func unescape(text string) (string, error) {
	if strings.IndexByte(text, '\\') < 0 {
		return text, nil
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			b.WriteByte(text[i])
			continue
		}
		i++
		switch {
		case i < len(text) && text[i] == '\\':
			b.WriteByte('\\')
		case i < len(text) && text[i] == 't':
			b.WriteByte('\t')
		case i < len(text) && text[i] == 'n':
			b.WriteByte('\n')
		default:
			return "", fmt.Errorf("the field %.60q ends in a backslash, or holds one that stands for nothing", text)
		}
	}
	return b.String(), nil
}

// parseRecord reads a line, without its check and its end, in a format. The record's texts are parts of the line.
func parseRecord(line string, format int, r *Record) error {
	if format == formatJSON {
		return json.Unmarshal([]byte(line), r)
	}
	var fields [recordFields]string
	for i := range fields {
		field, rest, more := strings.Cut(line, "\t")
		if more != (i < recordFields-1) {
			return fmt.Errorf("a record has %d fields, and not another number", recordFields)
		}
		var err error
		if fields[i], err = unescape(field); err != nil {
			return err
		}
		line = rest
	}
	r.Key, r.State = fields[0], State(fields[1])
	if err := r.State.check(); err != nil {
		return err
	}
	for i, s := range []*Seen{&r.Source, &r.Destination} {
		at := 2 + 4*i
		size, err := strconv.ParseInt(fields[at+2], 10, 64)
		if err != nil {
			return fmt.Errorf("size: %w", err)
		}
		modified, err := strconv.ParseInt(fields[at+3], 10, 64)
		if err != nil {
			return fmt.Errorf("time: %w", err)
		}
		*s = Seen{ETag: fields[at], Version: fields[at+1], Size: size, Modified: modified}
	}
	r.Hash, r.MD5, r.Properties, r.Evidence = fields[10], fields[11], fields[12], Evidence(fields[13])
	if format < formatTyped {
		r.Hash = bucket.ParseDigest(r.Hash).String()
	}
	return nil
}

// check refuses a state that a later version may have.
func (s State) check() error {
	switch s {
	case StateIntent, StateCopied, StateFound, StateForeign, StateForgotten:
		return nil
	}
	return fmt.Errorf("unknown state %q", s)
}

// chunk is how many bytes of a manifest are read at once; the records of them are a page.
const chunk = 128 << 10

// recordPages yields the records that begin at the reader's place, as they come. Where torn is set, a last line without its end
// is what a kill left and says nothing.
func recordPages(from io.Reader, format int, torn bool) iter.Seq2[[]Record, error] {
	return func(yield func([]Record, error) bool) {
		buffer, held := make([]byte, chunk), 0
		for {
			n, err := io.ReadFull(from, buffer[held:])
			held += n
			ended := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
			if err != nil && !ended {
				yield(nil, err)
				return
			}
			whole := bytes.LastIndexByte(buffer[:held], '\n') + 1
			page, err := parseRecords(buffer[:whole], format)
			if len(page) > 0 && !yield(page, nil) {
				return
			}
			if err == nil && ended && held > whole && !torn {
				err = damagedRecord("read the last line", io.ErrUnexpectedEOF)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if ended {
				return
			}
			if whole == 0 {
				buffer = append(buffer, make([]byte, len(buffer))...) // a line is longer than it
			}
			held = copy(buffer, buffer[whole:held])
		}
	}
}

// parseRecords reads whole lines.
func parseRecords(raw []byte, format int) ([]Record, error) {
	text := string(raw) // of which the records' texts are parts
	page := make([]Record, 0, len(text)/200)
	for len(raw) > 0 {
		end := bytes.IndexByte(raw, '\n')
		page = append(page, Record{})
		length, err := checkLine(raw[:end], format)
		if err == nil {
			err = parseRecord(text[:length], format, &page[len(page)-1])
		}
		if err != nil {
			return page[:len(page)-1], damagedRecord(fmt.Sprintf("read the line %.80q", raw[:end]), err)
		}
		raw, text = raw[end+1:], text[end+1:]
	}
	return page, nil
}

// recordFile is a sorted file of records, read from any place by several at once. The zero value is an empty one.
type recordFile struct {
	file   *os.File
	format int
	begin  int64 // of the first record
	size   int64
	remove bool // when it is closed
}

// openRecords opens a sorted file; one that is not there is empty.
func openRecords(path string) (*recordFile, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &recordFile{}, nil
	}
	if err != nil {
		return nil, err
	}
	file := &recordFile{file: f}
	in := bufio.NewReader(f)
	header, begin, err := readHeader(in)
	if err == nil {
		file.format, file.begin = header.Format, begin
		file.size, err = f.Seek(0, io.SeekEnd)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
	}
	return file, nil
}

func (f *recordFile) close() error {
	if f.file == nil {
		return nil
	}
	err := f.file.Close()
	if f.remove {
		err = errors.Join(err, os.Remove(f.file.Name()))
	}
	return err
}

// pages yields the records of a range in order, without those that are forgotten.
func (f *recordFile) pages(opts bucket.ListOptions) iter.Seq2[[]Record, error] {
	return func(yield func([]Record, error) bool) {
		if f.file == nil {
			return
		}
		at, err := f.find(opts)
		if err != nil {
			yield(nil, fmt.Errorf("%s: %w", f.file.Name(), err))
			return
		}
		last, begun := "", false
		for page, err := range recordPages(io.NewSectionReader(f.file, at, f.size-at), f.format, false) {
			for i := 0; i < len(page) && err == nil; i++ {
				if begun && page[i].Key <= last {
					err = fmt.Errorf("%q after %q: %w", page[i].Key, last, errUnsorted)
				}
				last, begun = page[i].Key, true
			}
			if err != nil {
				yield(nil, fmt.Errorf("%s: %w", f.file.Name(), err))
				return
			}
			page, ended := chosenRecords(page, opts)
			if len(page) > 0 && !yield(page, nil) || ended {
				return
			}
		}
	}
}

// chosenRecords leaves the records of a range, and says whether it ends in the page.
func chosenRecords(page []Record, opts bucket.ListOptions) (chosen []Record, ended bool) {
	kept := 0
	for i := range page {
		switch {
		case opts.Ends(page[i].Key):
			return page[:kept], true
		case page[i].State == StateForgotten || !opts.Holds(page[i].Key):
			continue
		}
		if kept != i {
			page[kept] = page[i]
		}
		kept++
	}
	return page[:kept], false
}

// find is the place of a line from which all records of a range are found, by halving the file.
func (f *recordFile) find(opts bucket.ListOptions) (int64, error) {
	if opts.After == "" && opts.Prefix == "" {
		return f.begin, nil
	}
	low, high := f.begin, f.size // the line at low is in front of the range, or the first; that at high is not
	for high-low > chunk {
		middle := low + (high-low)/2
		line, key, err := f.keyBehind(middle)
		switch {
		case errors.Is(err, io.EOF) || err == nil && line >= high:
			high = middle
		case err != nil:
			return 0, err
		case opts.Holds(key) || opts.Ends(key):
			high = line
		default:
			low = line
		}
	}
	return low, nil
}

// keyBehind finds the first line that begins behind a place. io.EOF says that there is none.
func (f *recordFile) keyBehind(place int64) (line int64, key string, err error) {
	in := bufio.NewReaderSize(io.NewSectionReader(f.file, place, f.size-place), 4<<10)
	skipped, err := in.ReadBytes('\n')
	if err != nil {
		return 0, "", err
	}
	raw, err := in.ReadBytes('\n')
	if err != nil {
		return 0, "", err
	}
	var r Record
	raw = raw[:len(raw)-1]
	length, err := checkLine(raw, f.format)
	if err == nil {
		err = parseRecord(string(raw[:length]), f.format, &r)
	}
	if err != nil {
		err = damagedRecord(fmt.Sprintf("read the line %.80q", raw), err)
	}
	return place + int64(len(skipped)), r.Key, err
}

package s3fake

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// What S3 does about locks, keys and archived objects:
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock-managing.html (an upload with a lock needs a digest, and a
// bucket with Object Lock), https://docs.aws.amazon.com/AmazonS3/latest/userguide/ServerSideEncryptionCustomerKeys.html (a request
// without the customer's key is a bad one), https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html (an archived object
// that is not restored is not read, only looked at) and https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html (the ETag of
// an object under a key of a key service is no MD5).

// guardHeaders are kept with an object and told with it.
func guardHeaders() []string {
	return []string{
		"X-Amz-Object-Lock-Mode", "X-Amz-Object-Lock-Retain-Until-Date", "X-Amz-Object-Lock-Legal-Hold",
		"X-Amz-Server-Side-Encryption", "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id",
	}
}

// account is whose keys a key's bare name belongs to.
const account = "arn:aws:kms:us-east-1:111122223333:key/"

// guarded refuses what the bucket cannot keep, and gives the headers their final form, for who holds the lock.
func (b *contents) guarded(r request, header http.Header) error {
	locks := header.Get("X-Amz-Object-Lock-Mode") != "" || header.Get("X-Amz-Object-Lock-Legal-Hold") != ""
	until := header.Get("X-Amz-Object-Lock-Retain-Until-Date")
	if (header.Get("X-Amz-Object-Lock-Mode") == "") != (until == "") {
		return fail(http.StatusBadRequest, "InvalidArgument", "the mode and the date of a retention go together")
	}
	if locks && !bytes.Contains(b.configuration["object-lock"], []byte("Enabled")) {
		return fail(http.StatusBadRequest, "InvalidRequest", "Bucket is missing Object Lock Configuration")
	}
	if locks && r.Method == http.MethodPut && r.Header.Get("x-amz-copy-source") == "" && r.Header.Get("Content-MD5") == "" {
		return fail(http.StatusBadRequest, "InvalidRequest", "Content-MD5 or a checksum is required with Object Lock parameters")
	}
	if until != "" {
		if when, err := time.Parse(time.RFC3339, until); err != nil || !when.After(time.Now()) {
			return fail(http.StatusBadRequest, "InvalidArgument", "the retain until date must be in the future: %s", until)
		}
	}
	const name = "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id"
	if key := header.Get(name); key != "" && !strings.HasPrefix(key, "arn:") {
		header.Set(name, account+key)
	}
	return nil
}

// etagOf is the tag of an object that was stored in one piece.
func etagOf(raw []byte, header http.Header) string {
	if strings.HasPrefix(header.Get("X-Amz-Server-Side-Encryption"), "aws:kms") {
		return sum(append([]byte("not an MD5 of "), raw...))
	}
	return sum(raw)
}

// Seal makes an object one that a customer's key encrypts.
func (s *Server) Seal(bucket, key string) error {
	return s.change(bucket, key, func(o *object) { o.sealed = true })
}

// Encrypt makes an object one that is encrypted under a key of the key service.
func (s *Server) Encrypt(bucket, key, name string) error {
	return s.change(bucket, key, func(o *object) {
		o.header.Set("X-Amz-Server-Side-Encryption", "aws:kms")
		o.header.Set("X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id", name)
		o.etag = etagOf(o.body, o.header)
	})
}

// Archive puts an object into a class that has to be restored before it is read.
func (s *Server) Archive(bucket, key, class string) error {
	return s.change(bucket, key, func(o *object) {
		o.header.Set("X-Amz-Storage-Class", class)
		o.header.Del("X-Amz-Restore")
	})
}

// Restore begins to restore an object, or ends it.
func (s *Server) Restore(bucket, key string, done bool) error {
	return s.change(bucket, key, func(o *object) {
		text := `ongoing-request="true"`
		if done {
			text = fmt.Sprintf(`ongoing-request="false", expiry-date=%q`, time.Now().Add(48*time.Hour).UTC().Format(http.TimeFormat))
		}
		o.header.Set("X-Amz-Restore", text)
	})
}

func (s *Server) change(bucket, key string, change func(*object)) error {
	was, err := s.find(bucket, key)
	if err != nil {
		return err
	}
	now := *was
	now.header = was.header.Clone()
	change(&now)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buckets[bucket].set(key, &now)
	return nil
}

// closed says why an object is not read.
func (o *object) closed(op Op) error {
	if o.sealed {
		return fail(http.StatusBadRequest, "InvalidRequest", "The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve the object.")
	}
	class := o.header.Get("X-Amz-Storage-Class")
	if op == Get && (class == "GLACIER" || class == "DEEP_ARCHIVE") && !strings.Contains(o.header.Get("X-Amz-Restore"), `"false"`) {
		return fail(http.StatusForbidden, "InvalidObjectState", "The operation is not valid for the object's storage class")
	}
	return nil
}

// listedAs are an object's class and restore status in a listing.
func (e entry) listedAs() string {
	text := "<StorageClass>" + e.class + "</StorageClass>"
	switch {
	case strings.Contains(e.restore, `"true"`):
		text += "<RestoreStatus><IsRestoreInProgress>true</IsRestoreInProgress></RestoreStatus>"
	case e.restore != "":
		text += "<RestoreStatus><IsRestoreInProgress>false</IsRestoreInProgress><RestoreExpiryDate>" +
			time.Now().Add(48*time.Hour).UTC().Format(time.RFC3339) + "</RestoreExpiryDate></RestoreStatus>"
	}
	return text
}

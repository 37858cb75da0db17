package archive

import (
	"context"
	"fmt"
	"strings"

	"filippo.io/age"
)

// ParseIdentity reads the text of an age identity file (age-keygen writes one) and returns its secret keys and the public
// keys that belong to them.
func ParseIdentity(text string) (identities, recipients []string, err error) {
	ids, err := age.ParseIdentities(strings.NewReader(text))
	if err != nil {
		// The cause could quote the file.
		return nil, nil, fmt.Errorf("read the age identity: %w", ErrNoIdentity)
	}
	for _, id := range ids {
		switch id := id.(type) {
		case *age.X25519Identity:
			identities, recipients = append(identities, id.String()), append(recipients, id.Recipient().String())
		case *age.HybridIdentity:
			identities, recipients = append(identities, id.String()), append(recipients, id.Recipient().String())
		}
	}
	if len(identities) == 0 {
		return nil, nil, fmt.Errorf("read the age identity: it holds no AGE-SECRET-KEY: %w", ErrNoIdentity)
	}
	return identities, recipients, nil
}

// CheckKeys encrypts something to the recipients and opens it with the identities: what an export would write could be read
// again. Without identities, or without recipients, there is nothing to prove.
func CheckKeys(opts Options) error {
	recipients, err := parseRecipients(opts.Recipients)
	if err != nil {
		return err
	}
	ring, err := newKeyring(nil, opts.Identities)
	if err != nil {
		return err
	}
	if len(recipients) == 0 || !ring.canOpen() {
		return nil
	}
	sealed, err := seal(recipients, []byte("probe"))
	if err != nil {
		return err
	}
	_, err = ring.open("what is encrypted to archive.recipients", sealed)
	return err
}

// CanOpen opens the newest revision's keys: whether what an earlier run has encrypted can be read now. An archive without
// anything encrypted can be.
func (r *Reader) CanOpen(ctx context.Context) error {
	for _, e := range r.index.Entries {
		if e.Encrypted {
			_, err := r.ring.key(ctx, e.Key)
			return err
		}
	}
	return nil
}

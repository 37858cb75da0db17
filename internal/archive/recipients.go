package archive

import (
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

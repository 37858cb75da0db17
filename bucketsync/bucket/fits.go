package bucket

import (
	"fmt"
	"strings"
)

// Fits says with ErrUnsupported which property a store cannot hold, so that none is dropped in silence (I5).
func (p Properties) Fits(caps Capabilities) error {
	switch {
	case len(p.Tags) > 0 && !caps.Tags:
		return fmt.Errorf("%w: tags", ErrUnsupported)
	case p.WebsiteRedirect != "" && !caps.WebsiteRedirect:
		return fmt.Errorf("%w: a website redirect", ErrUnsupported)
	case !p.Expires.IsZero() && !caps.Expires:
		return fmt.Errorf("%w: an Expires header", ErrUnsupported)
	case p.Lock != (Lock{}) && !caps.Locks:
		return fmt.Errorf("%w: a lock (%s)", ErrUnsupported, p.Lock)
	case p.Encryption.Kind == ByService && !caps.Keys:
		return fmt.Errorf("%w: encryption under the key %s", ErrUnsupported, p.Encryption.Key)
	case p.Encryption.Kind == ByCustomer:
		return fmt.Errorf("%w: encryption under a customer's key", ErrUnsupported)
	}
	return nil
}

// Problem is the text of why properties do not fit, for Capabilities.PropertyProblem; "" where err is nil.
func Problem(err error) string {
	if err == nil {
		return ""
	}
	return strings.ReplaceAll(strings.ReplaceAll(err.Error(), ErrUnsupported.Error()+": ", ""), "\n", "; ")
}

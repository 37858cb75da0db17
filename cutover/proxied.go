package cutover

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// byProvider is how a change was seen that no name server shows (C19).
const byProvider = "the provider's API"

// errStill says that the provider shows something else than what was written.
var errStill = errors.New("the provider does not show the change")

// proxied says whether a zone's provider answers for a name with addresses of its own, so that no name server shows where
// it leads.
func proxied(ctx context.Context, driver zone.Zone, name string) (bool, error) {
	proxier, ok := driver.(zone.Proxier)
	if !ok {
		return false, nil
	}
	return proxier.Proxied(ctx, name)
}

// proxiedNote is what a plan says of such a name.
const proxiedNote = "it is proxied: its provider answers with addresses of its own, so no name server shows where it leads. Its changes are verified by reading them back at the provider's API; " +
	"that requests reach green is shown by the application's checks alone. Let green's answers tell themselves apart from blue's (a header, a version), and check for that"

// hide takes out of what must be seen everywhere the sets that the provider's proxy hides, and returns them.
func (s *spread) hide() []dnsx.RRset {
	var hidden, shown []dnsx.RRset
	for _, set := range s.want {
		if set.Name == s.name && (set.Type == "A" || set.Type == "AAAA" || set.Type == "CNAME") {
			hidden = append(hidden, set)
		} else {
			shown = append(shown, set)
		}
	}
	s.want = shown
	return hidden
}

// atProvider reads sets back where changes are made.
func atProvider(ctx context.Context, driver zone.Zone, want []dnsx.RRset) error {
	var missing []string
	for _, set := range want {
		got, err := driver.Lookup(ctx, set.Name, set.Type)
		switch {
		case errors.Is(err, zone.ErrNotExist) && len(set.Data) == 0:
		case err != nil && !errors.Is(err, zone.ErrNotExist):
			return err
		case err != nil || !dnsx.RRset(got).Equal(set):
			missing = append(missing, fmt.Sprintf("%s %s holds %s", set.Name, set.Type, strings.Join(got.Data, " ")))
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%w: %s", errStill, strings.Join(missing, "; "))
	}
	return nil
}

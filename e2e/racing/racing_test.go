package racing

import (
	"errors"
	"testing"

	"github.com/crossfade-project/crossfade/e2e/rig/install"
	"github.com/crossfade-project/crossfade/e2e/rig/nameserver"
)

// A share of what `make racing` holds in full: 16 writers, real servers, questions all the while.
func TestC07_OfRacingWritersNoUpdateIsLost(t *testing.T) {
	for _, software := range []nameserver.Software{nameserver.BIND, nameserver.Knot, nameserver.PowerDNS} {
		t.Run(string(software), func(t *testing.T) { hold(t, Options{Software: software}) })
	}
	for _, software := range []nameserver.Software{nameserver.BIND, nameserver.Knot} {
		t.Run(string(software)+", signed", func(t *testing.T) { hold(t, Options{Software: software, Sign: true}) })
	}
}

func hold(t *testing.T, opts Options) {
	t.Helper()
	in, err := install.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	err = in.Debian(t.Context(), opts.Software.Packages()...)
	var missing *install.MissingError
	if errors.As(err, &missing) || errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	opts.Dir, opts.Writers, opts.Names, opts.Swaps, opts.Questions, opts.Say = t.TempDir(), 16, 4, 200, 10_000, t.Logf
	report, err := Run(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(report)
	if err := report.Err(); err != nil {
		t.Error(err)
	}
}

package migration

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// ExternalDNS says how external-dns keeps the names. Where it is declared, its Deployments are looked for on both sides, and an
// ownership record that is found is handed over in the message that moves its name.
type ExternalDNS struct {
	// Paused declares that external-dns changes none of the names until the migration is over, on either side: names move
	// and its ownership records stay. What is found to run all the same is refused.
	Paused bool `yaml:"paused,omitempty" json:"paused,omitempty"`
	// Pause names the Deployments of external-dns that Crossfade scales to 0 before the first name changes, until all of the
	// migration is rolled back. No other is touched. Names move then, and ownership records stay, as with paused.
	Pause *ExternalDNSPause `yaml:"pause,omitempty" json:"pause,omitempty"`
	// Blue says how it runs there, where that cannot be read from a Deployment.
	Blue *ExternalDNSOwner `yaml:"blue,omitempty" json:"blue,omitempty"`
	// Green says the same of green.
	Green *ExternalDNSOwner `yaml:"green,omitempty" json:"green,omitempty"`
}

// ExternalDNSPause names Deployments of external-dns, each as NAMESPACE/NAME.
type ExternalDNSPause struct {
	// Blue lists those on blue.
	Blue []string `yaml:"blue,omitempty" json:"blue,omitempty"`
	// Green lists those on green.
	Green []string `yaml:"green,omitempty" json:"green,omitempty"`
}

// On lists the Deployments of a side; none without a pause.
func (p *ExternalDNSPause) On(side string) []string {
	switch {
	case p == nil:
		return nil
	case side == "blue":
		return p.Blue
	}
	return p.Green
}

// ExternalDNSOwner is one installation of external-dns with the TXT registry.
type ExternalDNSOwner struct {
	// Owner is its --txt-owner-id.
	Owner string `yaml:"owner" json:"owner"`
	// Prefix is its --txt-prefix.
	Prefix string `yaml:"prefix,omitempty" json:"prefix,omitempty"`
	// Suffix is its --txt-suffix.
	Suffix string `yaml:"suffix,omitempty" json:"suffix,omitempty"`
	// Wildcard is its --txt-wildcard-replacement.
	Wildcard string `yaml:"wildcard,omitempty" json:"wildcard,omitempty"`
}

func (v *validator) externalDNS(f *File) {
	e := f.Cutover.ExternalDNS
	if e == nil {
		return
	}
	const at = "cutover.externalDNS"
	if *e == (ExternalDNS{}) {
		v.problem(at, "it says nothing", "say paused, pause, or blue: and green: with their owner; or take it out")
	}
	for side, owner := range map[string]*ExternalDNSOwner{"blue": e.Blue, "green": e.Green} {
		switch {
		case owner == nil:
		case owner.Owner == "" || strings.ContainsAny(owner.Owner, "=,\" \\"):
			v.problem(at+"."+side+".owner", "it is no owner id of external-dns", "give its --txt-owner-id")
		case owner.Prefix != "" && owner.Suffix != "":
			v.problem(at+"."+side, "prefix and suffix exclude each other", "give the one that external-dns has")
		}
	}
	if e.Blue != nil && e.Green != nil && e.Blue.Owner == e.Green.Owner && !e.Paused && e.Pause == nil {
		v.problem(at+".green.owner", "both sides have one owner id, so that each takes the other's records for its own", "give green's external-dns a --txt-owner-id of its own")
	}
	v.pause(e, at+".pause")
}

func (v *validator) pause(e *ExternalDNS, at string) {
	if e.Pause == nil {
		return
	}
	if e.Paused {
		v.problem(at, "paused says that somebody else has stopped external-dns, and pause that Crossfade is to", "keep one of the two")
	}
	if len(e.Pause.Blue)+len(e.Pause.Green) == 0 {
		v.problem(at, "it names no Deployment", "name them under blue and green, each as NAMESPACE/NAME")
	}
	for _, side := range []string{"blue", "green"} {
		list := e.Pause.On(side)
		for i, ref := range list {
			field := fmt.Sprintf("%s.%s[%d]", at, side, i)
			namespace, name, _ := strings.Cut(ref, "/")
			switch {
			case len(validation.IsDNS1123Label(namespace))+len(validation.IsDNS1123Subdomain(name)) > 0:
				v.problem(field, fmt.Sprintf("%q names no Deployment", ref), "write it as NAMESPACE/NAME: external-dns/external-dns")
			case slices.Contains(list[:i], ref):
				v.problem(field, ref+" is named twice", "name it once")
			}
		}
	}
}

package bucketsync

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/configuration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// A bucket is more than objects (B18). What the source is beside them is read, mapped (package configuration) and written to a
// destination that this migration makes; one that was there is left as it is unless Options.Configuration says to change it.
//
//	before the first object:   public access, encryption, versioning, storage class, policy, tags, CORS
//	after the proof of a final
//	sync, and only then:       lifecycle rules, retention by default
//
// What guards objects is there before they are. What deletes them waits: a rule with a date, or one that looks at a time which the
// copy carries along, would delete at green what the sync has just brought, and the proof would find it missing. Retention by
// default waits as well: a warm copy has to be replaced by the next, which a lock would forbid; each object's own retention comes
// with it. A sync that is never final leaves both out, and says so.
//
// Beside the manifest, PATH.configuration remembers that this migration made the destination, and keeps what the source had, with
// what became of it.

// ConfigurationMode says when the source's configuration is written to the destination.
type ConfigurationMode string

// Modes of Options.Configuration.
const (
	// ConfigureCreate configures a destination that this migration makes. What differs at any other is listed. The default.
	ConfigureCreate ConfigurationMode = "create"
	// ConfigureApply also changes a destination that was there.
	ConfigureApply ConfigurationMode = "apply"
	// ConfigureIgnore neither reads nor writes configurations.
	ConfigureIgnore ConfigurationMode = "ignore"
)

// ActionConfigure writes one part of a bucket's configuration.
const ActionConfigure plan.Action = "configure bucket"

// configureData is the data of a change that configures.
type configureData struct {
	Part bucket.Part `json:"part"`
	// Want is what is written, with nothing but the part.
	Want bucket.Configuration `json:"want"`
	// New says that the destination is this migration's own: what a new bucket has is not what somebody wanted.
	New bool `json:"new,omitempty"`
}

// ConfiguredPart is the outcome of writing one part.
type ConfiguredPart struct {
	Part bucket.Part        `json:"part"`
	Fate configuration.Fate `json:"fate"`
	// Detail says why it is lost.
	Detail string `json:"detail,omitempty"`
}

// Configured is what became of the source's configuration.
type Configured struct {
	Parts []ConfiguredPart `json:"parts,omitempty"`
	// Waiting are the parts that are written after the proof of a final sync, and were not in this one.
	Waiting []bucket.Part `json:"waiting,omitempty"`
	// Entries are what was lost or mapped, and Identities whom green needs made.
	Entries    []configuration.Entry    `json:"entries,omitempty"`
	Identities []configuration.Identity `json:"identities,omitempty"`
}

// Lost are the parts that the destination does not have as the source has them, with why.
func (c *Configured) Lost() []configuration.Entry {
	if c == nil {
		return nil
	}
	var out []configuration.Entry
	for _, e := range c.Entries {
		if e.Fate == configuration.Lost {
			out = append(out, e)
		}
	}
	for _, one := range c.Parts {
		if one.Fate == configuration.Lost {
			out = append(out, configuration.Entry{Part: one.Part, Fate: one.Fate, Detail: one.Detail})
		}
	}
	return out
}

// settings is what a plan knows of both configurations.
type settings struct {
	// decides: this plan decides what becomes of the parts; a later one of a bucket that was made does not ask again.
	decides      bool
	own          bool // the destination is this migration's, or is told to be configured
	made         bool // it is this migration's
	settled      map[bucket.Part]configuration.Fate
	source, dest bucket.Configuration
	answer       configuration.Answer
}

// readSettings reads what both ends have. It returns nil where the configuration is nobody's business.
func (e *engine) readSettings(ctx context.Context, p *plan.Plan) (*settings, error) {
	mode := e.opts.Configuration
	from, ok := bucket.ConfiguredOf(e.opts.From)
	if !ok || mode == ConfigureIgnore || e.opts.back || e.opts.Range != (Range{}) {
		return nil, nil
	}
	remembered, err := e.opts.readOwn()
	if err != nil {
		return nil, err
	}
	s := &settings{made: e.destinationMissing || remembered.Made}
	if !e.destinationMissing && mode != ConfigureApply {
		s.settled = remembered.Settled
	}
	s.own, s.decides = s.made || mode == ConfigureApply, e.destinationMissing || mode == ConfigureApply
	if !s.own && e.opts.Brief {
		return nil, nil // nothing would be done, and nobody reads the list
	}
	group, gctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		s.source, err = e.askConfiguration(gctx, from)
		return err
	})
	to, ok := bucket.ConfiguredOf(e.opts.To)
	if ok && !e.destinationMissing {
		group.Go(func() (err error) {
			s.dest, err = e.askConfiguration(gctx, to)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		if s.decides {
			return nil, err
		}
		p.Note(plan.Warning, e.opts.Name, "the configurations of the two buckets could not be compared: "+err.Error())
		return nil, nil
	}
	s.answer = configuration.Map(configuration.Request{
		From: configurationEnd(e.opts.From), To: configurationEnd(e.opts.To), Source: s.source, Keys: e.opts.Keys,
	})
	return s, nil
}

func (e *engine) askConfiguration(ctx context.Context, b bucket.Configured) (c bucket.Configuration, err error) {
	err = e.patience.do(ctx, "read configuration", "", func() error {
		c, err = b.Configuration(ctx)
		return err
	})
	return c, err
}

// configurationEnd names an end as its policies do.
func configurationEnd(b bucket.Bucket) configuration.End {
	caps := b.Describe()
	end := configuration.End{Provider: caps.Provider, Server: caps.Endpoint != ""}
	if u, err := bucket.ParseURL(caps.URL); err == nil {
		end.Bucket, end.Prefix = u.Bucket, u.Prefix
	}
	return end
}

// configuring are the changes that configure: those before the copying, and those after it.
type configuring struct {
	before, after []plan.Change
	waiting       []bucket.Part // for a final sync
	told          *Configured   // what a report is to say
}

// configure plans what becomes of the source's configuration.
func (e *engine) configure(ctx context.Context, p *plan.Plan) (out configuring, err error) {
	s, err := e.readSettings(ctx, p)
	if s == nil || err != nil {
		return out, err
	}
	if !s.own {
		e.listDifferences(p, s)
		return out, nil
	}
	if s.decides {
		for _, r := range s.answer.Refusals {
			p.Refuse(e.opts.Name+": "+string(r.Part), r.Why, r.Mend)
		}
		e.account(p, s)
	}
	_, ok := bucket.ConfigurerOf(e.opts.To)
	if !ok {
		out.tell(s, e.destinationMissing)
		return out, nil
	}
	for _, part := range bucket.Writable() {
		if !s.answer.Apply.Has(part) {
			continue
		}
		if sameSetting(part, s.answer.Apply, s.dest) {
			continue
		}
		if fate, ok := s.settled[part]; ok {
			e.noteSettled(p, part, fate)
			continue
		}
		change := e.configuringPart(part, s)
		switch {
		case !afterProof(part):
			out.before = append(out.before, change)
		case e.opts.Final:
			out.after = append(out.after, change)
		default:
			out.waiting = append(out.waiting, part)
		}
	}
	if len(out.waiting) > 0 {
		p.Note(plan.Info, e.opts.Name, "what deletes or locks objects by itself (lifecycle rules, retention by default) is set up after the proof of the final sync, not now")
	}
	out.tell(s, e.destinationMissing)
	return out, nil
}

// tell keeps what a report is to say, where anything is made or written.
func (c *configuring) tell(s *settings, made bool) {
	if !made && len(c.before)+len(c.after)+len(c.waiting) == 0 {
		return
	}
	c.told = &Configured{Waiting: c.waiting}
	if made {
		c.told.Identities = s.answer.Identities
	}
	for _, entry := range s.answer.Entries {
		written := slices.ContainsFunc(slices.Concat(c.before, c.after), func(change plan.Change) bool { return strings.HasSuffix(change.ID, "/"+string(entry.Part)) })
		if (made || written) && (entry.Fate == configuration.Lost || entry.Fate == configuration.Mapped) {
			c.told.Entries = append(c.told.Entries, entry)
		}
	}
}

// noteSettled says of a part that was seen to that it is not as at the source.
func (e *engine) noteSettled(p *plan.Plan, part bucket.Part, fate configuration.Fate) {
	what := e.opts.Name + ": " + string(part)
	if fate == configuration.Lost {
		p.Note(plan.Loss, what, "the destination does not take it")
		return
	}
	p.Note(plan.Info, what, "it was changed at the destination since "+e.opts.writer()+" wrote it, or at the source, and is left as it is")
}

// afterProof reports whether a part is only written when both sides have been proven equal.
func afterProof(part bucket.Part) bool {
	return part == bucket.PartLifecycle || part == bucket.PartLock
}

// account enters into the plan what is not simply kept, and who has to be made.
func (e *engine) account(p *plan.Plan, s *settings) {
	for _, entry := range s.answer.Entries {
		parts, first := saidTogether(entry, s.answer.Entries)
		if !first {
			continue
		}
		what := e.opts.Name + ": " + parts
		switch entry.Fate {
		case configuration.Lost:
			p.Note(plan.Loss, what, entry.Detail)
			if e.opts.Strict {
				p.Refuse(what, "it is lost: "+entry.Detail, "choose a destination that can hold it, leave the configuration out with "+e.opts.said("configuration: ignore", "--configuration ignore")+", or do without strict")
			}
		case configuration.Mapped, configuration.Unknown:
			p.Note(plan.Info, what, entry.Detail)
		case configuration.Kept:
		}
	}
	for _, i := range s.answer.Identities {
		p.Note(plan.Warning, e.opts.Name+": "+i.Principal, fmt.Sprintf("the %s is named by the source's %s; for green: %s", i.Kind, i.Named, i.Make))
	}
}

// saidTogether names all parts of which the same is said, for one note. It reports whether entry is the first of them.
func saidTogether(entry configuration.Entry, all []configuration.Entry) (parts string, first bool) {
	var names []string
	for _, other := range all {
		if other.Fate == entry.Fate && other.Detail == entry.Detail && !slices.Contains(names, string(other.Part)) {
			names = append(names, string(other.Part))
		}
	}
	return strings.Join(names, ", "), names[0] == string(entry.Part)
}

// listDifferences says where a destination that nobody wants to change differs from what the source has.
func (e *engine) listDifferences(p *plan.Plan, s *settings) {
	for _, part := range bucket.Writable() {
		what := e.opts.Name + ": " + string(part)
		unread, unreadable := s.dest.Unreadable[part]
		switch {
		case !s.answer.Apply.Has(part) || sameSetting(part, s.answer.Apply, s.dest):
		case unreadable && unread.Why == bucket.WhyUnsupported:
			p.Note(plan.Info, what, "the source has it, and the destination's server does not know it")
		case unreadable:
			p.Note(plan.Warning, what, "the source has it, and the destination's could not be read: "+unread.Detail)
		default:
			p.Note(plan.Warning, what, "it differs at the destination, which "+e.opts.writer()+" did not make; "+
				e.opts.said("configuration: apply", "--configuration apply")+" would set it as at the source")
		}
	}
}

func (e *engine) configuringPart(part bucket.Part, s *settings) plan.Change {
	want := merged(part, s.answer.Apply, s.dest).Only(part)
	c := plan.Change{
		ID: e.opts.Stage + "/configuration/" + string(part), Action: ActionConfigure, Target: e.toCaps.URL + ": " + string(part),
		Why: "as at the source: " + e.partWords(part, s),
		ReliesOn: []plan.Reliance{
			{What: "the source's " + string(part), Is: settingHash(part, s.source)},
			{What: "the destination's " + string(part), Is: settingHash(part, s.dest)},
		},
		Data: plan.JSON(configureData{Part: part, Want: want, New: s.made}),
	}
	if s.made {
		c.Why += "; the bucket is " + e.opts.writer() + "'s own, so nothing is taken back"
		return c
	}
	c.Reverse = &plan.Reverse{Action: ActionConfigure, How: "write what was there before, which stands in the data", Data: plan.JSON(s.dest.Only(part))}
	if !s.dest.Has(part) {
		c.Reverse.How = "remove it: it was not set before"
	}
	return c
}

func (e *engine) partWords(part bucket.Part, s *settings) string {
	var words []string
	for _, entry := range s.answer.Entries {
		if entry.Part == part && (entry.Fate == configuration.Kept || entry.Fate == configuration.Mapped) {
			words = append(words, entry.Detail)
		}
	}
	return strings.Join(words, "; ")
}

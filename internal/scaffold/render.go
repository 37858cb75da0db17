package scaffold

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/crossfade-project/crossfade/internal/migration"
)

// Draft is the text of a first file, and what is left to do with it.
type Draft struct {
	Text []byte
	// Marks are the values that a person must decide, in the order of their lines.
	Marks []migration.Problem
}

// Render writes the file. Its only problems, to the reader of migration files, are its marks.
func (p *Proposal) Render() (*Draft, error) {
	w := &writer{}
	p.head(w)
	p.sides(w)
	p.archive(w)
	p.renderStores(w)
	p.renderBuckets(w)
	p.renderMaps(w)
	p.renderPatches(w)
	p.renderApps(w)
	p.renderZones(w)
	p.renderTimes(w)
	p.renderRetirement(w)
	return newDraft([]byte(w.String()))
}

// newDraft reads the text as every verb will, and demands that only marks are in its way.
func newDraft(text []byte) (*Draft, error) {
	d := &Draft{Text: text}
	_, err := migration.Parse("draft", text)
	var invalid *migration.InvalidError
	switch {
	case err == nil:
		return d, nil
	case !errors.As(err, &invalid):
		return nil, fmt.Errorf("read the draft again: %w", err)
	}
	wrong := slices.DeleteFunc(slices.Clone(invalid.Problems), func(p migration.Problem) bool { return p.FillIn })
	if len(wrong) > 0 {
		return nil, fmt.Errorf("read the draft again: %w", &migration.InvalidError{File: invalid.File, Problems: wrong})
	}
	d.Marks = invalid.Problems
	return d, nil
}

// writer writes YAML with comments.
type writer struct{ strings.Builder }

// width is where comments are broken.
const width = 110

// line writes one line at an indent of levels.
func (w *writer) line(level int, format string, args ...any) {
	w.WriteString(strings.Repeat("  ", level) + fmt.Sprintf(format, args...) + "\n")
}

func (w *writer) blank() { w.WriteString("\n") }

// comment writes a sentence, broken into lines.
func (w *writer) comment(level int, format string, args ...any) {
	lead := strings.Repeat("  ", level) + "#"
	line := lead
	for word := range strings.FieldsSeq(fmt.Sprintf(format, args...)) {
		if len(line)+1+len(word) > width && line != lead {
			w.WriteString(line + "\n")
			line = lead
		}
		line += " " + word
	}
	w.WriteString(line + "\n")
}

// item writes a comment that hangs under a dash.
func (w *writer) item(format string, args ...any) {
	const lead = "#   - "
	line, empty := lead, true
	for word := range strings.FieldsSeq(fmt.Sprintf(format, args...)) {
		if len(line)+1+len(word) > width && !empty {
			w.WriteString(strings.TrimRight(line, " ") + "\n")
			line = "#     "
		}
		line += word + " "
		empty = false
	}
	w.WriteString(strings.TrimRight(line, " ") + "\n")
}

var plainText = regexp.MustCompile(`^([A-Za-z/]|\.\.?/)[A-Za-z0-9_./@-]*$`)

// text writes a value so that YAML reads it as text, and only so.
func text(s string) string {
	_, notNumber := strconv.ParseFloat(s, 64)
	switch strings.ToLower(s) {
	case "true", "false", "yes", "no", "on", "off", "null", "y", "n":
		return strconv.Quote(s)
	}
	if plainText.MatchString(s) && notNumber != nil {
		return s
	}
	return strconv.Quote(s)
}

func (p *Proposal) head(w *writer) {
	s := p.survey
	w.line(0, "# yaml-language-server: $schema=%s", migration.SchemaID)
	w.line(0, "#")
	w.comment(0, "A first migration file, written by \"crossfade init\" from what it saw of both sides. It changed nothing. Every value that only you can decide begins with %s and says what is expected, often with an example; plan and run refuse the file, and list those lines, until none is left. Everything else is a guess with its reason: read it before you run. docs/migration-file.md explains every field.", migration.Mark)
	w.line(0, "#")
	w.line(0, "# What was looked at")
	w.item("blue: Kubernetes %s at %s, %s", s.Blue.Version, s.Blue.Server, strings.Join(convert(s.Namespaces, describeNamespace), "; "))
	w.item("green: Kubernetes %s at %s, its classes and nodes", s.Green.Version, s.Green.Server)
	if len(s.Names) > 0 {
		w.item("name servers: %s", strings.Join(sortedKeys(s.Names), ", "))
	}
	w.item("of Secrets the names of their keys, never what they hold")
	w.line(0, "# What could not be seen")
	if len(s.Unseen) == 0 {
		w.item("nothing that was asked for")
	}
	for _, u := range s.Unseen {
		w.item("%s", u)
	}
	if len(p.notes) > 0 {
		w.line(0, "# What you should know")
		for _, n := range p.notes {
			w.item("%s", n)
		}
	}
	w.blank()
	w.line(0, "version: 1 # of this file's form")
	w.line(0, "name: %s # labels all that is made; typed to confirm the retirement of blue", text(p.name))
	w.line(0, "reason: %s # why you move: version, hosts or provider. A guess: %s", p.reason, p.why)
	w.blank()
	if p.opts.Rehearsal {
		w.comment(0, "Short safety times, on purpose, for a first try: every report and the certificate are stamped with it. Take this section out, and the times of cutover and retirement with it, when you mean it.")
		w.line(0, "rehearsal:")
		w.line(1, "soak: 6s # instead of the floor of 60s, beside twice the TTL")
		w.line(1, "idle: 20s # instead of the floor of 72h")
	} else {
		w.comment(0, "A rehearsal shortens the safety times on purpose, and stamps every report and the certificate.")
		w.line(0, "# rehearsal: {soak: 6s, idle: 20s}")
	}
	w.blank()
}

func describeNamespace(ns Namespace) string {
	count := map[string]int{}
	for _, wl := range ns.Workloads {
		count[wl.Kind]++
	}
	count["Service"], count["Ingress"], count["claim"] = len(ns.Services), len(ns.Ingresses), len(ns.Claims)
	count["ConfigMap"], count["Secret"] = len(ns.Settings), len(ns.Secrets)
	var parts []string
	for _, kind := range sortedKeys(count) {
		if count[kind] > 0 {
			parts = append(parts, fmt.Sprintf("%d × %s", count[kind], kind))
		}
	}
	return "namespace " + ns.Name + " (" + strings.Join(parts, ", ") + ")"
}

func (p *Proposal) sides(w *writer) {
	w.comment(0, "The side that serves now, and the side that will. Relative paths start at this file; without a kubeconfig KUBECONFIG and the home folder are asked.")
	for _, side := range []struct {
		name string
		Side
	}{{"blue", p.survey.Blue}, {"green", p.survey.Green}} {
		w.line(0, "%s:", side.name)
		if side.Kubeconfig != "" {
			w.line(1, "kubeconfig: %s", text(side.Kubeconfig))
		}
		if side.Context != "" {
			w.line(1, "context: %s # of the kubeconfig; without it, its current one", text(side.Context))
		}
		if side.name == "blue" && p.anyHost() {
			w.comment(1, "The image with this program as blue's nodes can pull it: short-lived pods read there which connections blue still has, for the retirement.")
			w.line(1, "helper: %s", strconv.Quote(mark("this project's image, such as registry.example.com/crossfade:1; or take this line out, and the section retirement with it")))
		}
	}
	w.blank()
}

func (p *Proposal) anyHost() bool {
	return slices.ContainsFunc(p.apps, func(a appGuess) bool { return len(a.hosts) > 0 })
}

func (p *Proposal) archive(w *writer) {
	w.comment(0, "Where blue's objects are kept: a folder, a file that ends in .tar.zst, or a URL of a store (s3://, minio://, gs://, az:// with store: NAME). Not inside a bucket that is cloned.")
	w.line(0, "archive:")
	w.line(1, "url: archive")
	w.comment(1, "Secrets are encrypted with this age key. Make it with: age-keygen -o archive.key. Keep it: without it the archive's Secrets are lost.")
	w.line(1, "identity: {file: archive.key}")
	w.comment(0, "The journal and the plans, which are the way back. Without this section: .crossfade/%s beside this file.", p.name)
	w.line(0, "# state: {directory: ./state}")
	w.blank()
}

func (p *Proposal) renderStores(w *writer) {
	if len(p.stores) == 0 {
		w.comment(0, "Stores and buckets, where applications keep objects: none was found in ConfigMaps and variables.")
		w.line(0, "# stores:")
		w.line(0, "#   old: {provider: s3, endpoint: https://s3.example.com, region: eu-1, accessKey: {env: OLD_ID}, secretKey: {env: OLD_KEY}}")
		w.line(0, "#   new: {provider: azure, account: example, secretKey: {file: azure.key}}")
		w.line(0, "# buckets:")
		w.line(0, "#   - {name: data, from: {store: old, bucket: data}, to: {store: new, bucket: data}, create: true}")
		w.blank()
		return
	}
	w.comment(0, "Object stores. Secrets never stand here, references do: {env: NAME}, {file: path} or {secret: {side, namespace, name, key}}; without them the provider's usual chain.")
	w.line(0, "stores:")
	for _, s := range p.stores {
		w.comment(1, "blue's, as its objects name it")
		w.line(1, "%s:", s.name)
		w.line(2, "provider: %s", s.Provider)
		for _, field := range [][2]string{{"endpoint", s.Endpoint}, {"region", s.Region}, {"account", s.Account}} {
			if field[1] != "" {
				w.line(2, "%s: %s", field[0], text(field[1]))
			}
		}
		if s.Provider == "minio" && s.Endpoint == "" {
			w.line(2, "endpoint: %s", strconv.Quote(mark("the store's URL, such as http://minio.example.com:9000")))
		}
		if s.Provider != "azure" {
			w.reference("accessKey", s.namespace, s.Access)
		}
		w.reference("secretKey", s.namespace, s.Secret)
	}
	w.comment(1, "green's. If green goes on using blue's store, take stores and buckets out, and the buckets of the applications.")
	w.line(1, "new:")
	w.line(2, "provider: %s", strconv.Quote(mark("s3, minio, gcs, azure or file")))
	w.line(2, "endpoint: %s", strconv.Quote(mark("its URL, such as https://s3.example.com; take the line out for the provider's own")))
	w.line(2, "region: %s", strconv.Quote(mark("its region, such as eu-central-1; take the line out where it has none")))
	w.line(2, "account: %s", strconv.Quote(mark("for azure the storage account; else take the line out")))
	w.line(2, "# project: example # for gcs, where buckets are made")
	w.line(2, "accessKey: %s", strconv.Quote(mark("a reference such as {env: NEW_ID}; take the line out for azure, gcs and the provider's usual chain")))
	w.line(2, "secretKey: %s", strconv.Quote(mark("a reference such as {env: NEW_KEY} or {file: new.key}; take the line out for the provider's usual chain")))
	w.blank()
}

func (w *writer) reference(field, namespace string, at secretKey) {
	if at.Secret == "" {
		w.line(2, "%s: %s", field, strconv.Quote(mark("a reference such as {env: OLD_KEY}; take the line out for the provider's usual chain")))
		return
	}
	w.line(2, "%s: {secret: {side: blue, namespace: %s, name: %s, key: %s}}", field, text(namespace), text(at.Secret), text(at.Key))
}

func (p *Proposal) renderBuckets(w *writer) {
	if len(p.bucket) == 0 {
		return
	}
	w.comment(0, "Buckets: copied while blue writes, proven equal when it is frozen. bind writes green's coordinates into objects on their way; {{bucket}}, {{prefix}}, {{endpoint}}, {{region}} and {{account}} stand for them, {{accessKey}} and {{secretKey}} in Secrets only.")
	w.line(0, "buckets:")
	for _, b := range p.bucket {
		w.line(1, "- name: %s # used by %s", text(b.name), strings.Join(b.apps, ", "))
		end := func(store string) string {
			out := "{store: " + store + ", bucket: " + text(b.Bucket)
			if b.Prefix != "" {
				out += ", prefix: " + text(strings.TrimSuffix(b.Prefix, "/")+"/")
			}
			return out + "}"
		}
		w.line(2, "from: %s", end(b.store))
		w.line(2, "to: %s", end("new"))
		w.line(2, "create: true # makes the destination where it is missing")
		if len(b.binds) == 0 {
			continue
		}
		w.line(2, "bind:")
		for _, bind := range b.binds {
			w.line(3, "- kind: %s", bind.kind)
			w.line(4, "namespace: %s", text(bind.namespace))
			w.line(4, "name: %s", text(bind.name))
			w.line(4, "set:")
			for _, kv := range bind.set {
				w.line(5, "%s: %s", text(kv[0]), strconv.Quote(kv[1]))
			}
		}
	}
	w.blank()
}

func (p *Proposal) renderMaps(w *writer) {
	w.comment(0, "What is called otherwise on green. What is not listed keeps its name; node ports that collide get free ones by themselves.")
	if len(p.maps) == 0 {
		w.line(0, "# maps:")
		w.line(0, "#   namespaces: {blues: greens}")
		w.line(0, "#   registries: {registry.blue.example.com: registry.green.example.com}")
		w.blank()
		return
	}
	w.line(0, "maps:")
	for _, m := range p.maps {
		w.comment(1, "%s", m.comment)
		w.line(1, "%s:", m.section)
		for _, kv := range m.entries {
			w.line(2, "%s: %s", text(kv[0]), text(kv[1]))
		}
	}
	w.blank()
}

func (p *Proposal) renderPatches(w *writer) {
	if len(p.names)+len(p.envs) == 0 {
		w.comment(0, "Changes of single objects on their way to green.")
		w.line(0, "# patches:")
		w.line(0, "#   - {target: {group: apps, kind: Deployment, namespace: shop, name: web}, merge: {spec: {replicas: 3}}}")
		w.blank()
		return
	}
	w.line(0, "patches:")
	if len(p.names) > 0 {
		w.comment(1, "A DNS controller on green would act on this annotation before the hostname's turn. Give it back when the migration is over.")
	}
	for _, target := range p.names {
		w.line(1, "- target: %s", target)
		w.line(2, "merge: {metadata: {annotations: {%s: null}}}", dnsHostname)
	}
	for _, e := range p.envs {
		c := e.Workload.Containers[e.Container]
		w.comment(1, "Variable %s of container %s names bucket %s. Coordinates in variables are not bound: this changes it.", c.Env[e.Env].Name, c.Name, e.Bucket)
		w.line(1, "- target: {group: %s, kind: %s, namespace: %s, name: %s}", e.Workload.Group, e.Workload.Kind, text(e.namespace), text(e.Workload.Name))
		w.line(2, "json:")
		w.line(3, "- op: replace")
		w.line(4, "path: %s/%d/env/%d/value", e.Workload.EnvPath, e.Container, e.Env)
		w.line(4, "value: %s", strconv.Quote(mark("the same for green's store; in a variable it is written out, such as s3://%s?endpoint=https://s3.example.com", e.Bucket)))
	}
	w.blank()
}

package redact

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// treatment says what becomes of a field of a document, by what the field holds. The zero value hides every text below the
// field: a field that no table names counts as secret.
type treatment int

const (
	show  treatment = 1 << iota // a text, or a list of texts, stays as Text leaves it
	group                       // an object, or a list of them, has fields with treatments of their own
	names                       // an object from names to names stays, as Text leaves it
	args                        // a program and its arguments: the program stays
)

// Table says what becomes of which field.
type Table map[string]treatment

// add gives fields a treatment, beside what they have.
func (t Table) add(treat treatment, fields string) {
	for _, f := range strings.Fields(fields) {
		t[f] |= treat
	}
}

// FileFields is the table of the migration file. It holds references to secrets, which may be seen; what an operator writes into
// hooks, checks, patches and bindings may be anything.
func FileFields() Table {
	t := Table{}
	t.add(show, `name reason kubeconfig context helper url store recipients env file side namespace key directory provider endpoint
		region project account bucket prefix conflict kind conflicts group op path from selector hostnames service ingress
		target address buckets volumes writes dark method field hostname httpRoute switch clusterDomain makeRecord scheme server algorithm servers resolvers
		ttl margin soak interval propagation ready idle timeout ignore namespaces configuration locks bandwidth hash prices
		hostedZone profile role managedZone subscription resourceGroup tenant client gap zoneID owner suffix wildcard
		format container time host backend agent status for skip internal way limit proxyProtocol replicas step unlisted watches`)
	t.add(group, `rehearsal blue green archive identity state stores accessKey secretKey secret from to bind buckets maps restore
		patches target json applications hostnames payload export import freeze enter leave probe http pods checks tcp tls drain
		requests zones rfc2136 route53 cloudDNS azureDNS cloudflare file token serviceAccount cutover retirement delete patch externalDNS accessLogs fields brownOut forward`)
	t.add(show, `when families sameHeaders timezone weekdays closed spare wait approval approvalAfter events by steps tolerance header onBlue onGreen`)
	t.add(group, `grpc probes prometheus p50 p95 p99 password baseline windows open waves notifications webhook urlFrom shift tell`)
	t.add(group, `pause`)
	t.add(show, `blue green`) // a list under pause
	t.add(names, `namespaces storageClasses ingressClasses priorityClasses runtimeClasses registries hosts nodePorts kms unwatched`)
	t.add(args, `command`)
	return t
}

// RecordFields is the table of what the migration itself writes: journal, plans, status, report, certificate, log.
func RecordFields() Table {
	t := Table{}
	t.add(show, `time kind stage change plan error hash actor tool migration id action target app why what text how mend level title
		state failure next name namespace group version resource uid protocol service greenNamespace groupVersion hostnames
		head blue green server zone hostname type from to prefix conflict url index base blueUID limit at began ended entered
		confirmed until since sent strength outcome side check address addresses addr addrs primary parent atParent atChild
		resolver resolvers servers object because later left rested did policy mode property fate detail asked path field
		lastRun foreign reason owner use made verified frozen started moved certificate archive msg source warnings stretched
		coverage lost gapAt signedBy sha256 plansHash who certificateVoid
		there back holder writes cause turn status notes os arch go modified platform suffix wildcard`)
	t.add(show, `host leads followed makeRecord gateway generation side`)
	t.add(group, `route routes switched made object`)
	t.add(group, `record data changes reliesOn reverse refusals notes stages applications objects buckets names old new after chain
		records sets got soa delegation cut caa wildcard links servers result change held lowered waited seen views gates
		rounds last wait waits blue green entry target workload original hooks fields stopped await replaced set ttl swap
		settle soak return apps idle observations restarts samples checks archive proof losses examples unread verified map
		want wants used taken hostPorts range dropped sides fence low findings problems with handover affix
		sources journal file leftOut`)
	t.add(show, `apps for side`)
	t.add(group, `paused externalDNS knocks`)
	t.add(names, `counts cronJobs workloads mentions explicit dropped evidence unwatched`)
	return t
}

// Stores and zones of a file are objects from names to objects; their names are no fields.
const byName = "stores"

// Document replaces what is secret in a value as encoding/json decodes it, and leaves the value's shape.
func (r *Redactor) Document(t Table, v any) any {
	switch v := v.(type) {
	case map[string]any:
		if _, isKube := v["apiVersion"].(string); isKube {
			return r.object(v)
		}
		out := make(map[string]any, len(v))
		for k, x := range v {
			out[r.Text(k)] = r.field(t, k, v, x)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = r.Document(t, v[i])
		}
		return out
	}
	return r.masked(v)
}

// JSON is Document for the text of a document.
func (r *Redactor) JSON(t Table, raw []byte) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("read the document: %w", err)
	}
	out, err := json.Marshal(r.Document(t, v))
	if err != nil {
		return nil, fmt.Errorf("write the document: %w", err)
	}
	return out, nil
}

func (r *Redactor) field(t Table, key string, of map[string]any, v any) any {
	if key == byName {
		if stores, ok := v.(map[string]any); ok {
			out := make(map[string]any, len(stores))
			for name, s := range stores {
				out[r.Text(name)] = r.Document(t, s)
			}
			return out
		}
	}
	treat := t[key]
	if key == "data" && isAddressRecord(of) {
		treat |= show
	}
	return r.treated(t, treat, v)
}

func (r *Redactor) treated(t Table, treat treatment, v any) any {
	switch v := v.(type) {
	case map[string]any:
		switch {
		case treat&group != 0:
			return r.Document(t, v)
		case treat&names != 0:
			return r.named(v)
		}
	case []any:
		out := make([]any, len(v))
		for i := range v {
			switch {
			case treat&args != 0 && i == 0:
				out[i] = r.treated(t, show, v[i])
			default:
				out[i] = r.treated(t, treat, v[i])
			}
		}
		return out
	case string:
		if treat&show != 0 {
			return r.Text(v)
		}
	}
	return r.masked(v)
}

// named keeps an object from names to names or numbers.
func (r *Redactor) named(v map[string]any) any {
	out := make(map[string]any, len(v))
	for k, x := range v {
		out[r.Text(k)] = r.treated(nil, show, x)
	}
	return out
}

// masked replaces every text of a value by its mark. Numbers, booleans, keys and lengths stay: the shape is what a bug is
// found by.
func (r *Redactor) masked(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, x := range v {
			out[r.Text(k)] = r.masked(x)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = r.masked(v[i])
		}
		return out
	case string:
		if v == "" || isMark(v) {
			return v
		}
		return r.mark(v)
	}
	return v
}

// object keeps of an object of Kubernetes what names it, and the shape of the rest.
func (r *Redactor) object(v map[string]any) any {
	out := make(map[string]any, len(v))
	for k, x := range v {
		switch k {
		case "apiVersion", "kind":
			out[k] = r.treated(nil, show, x)
		case "metadata":
			meta := Table{}
			meta.add(show, "name namespace uid resourceVersion generateName creationTimestamp")
			out[k] = r.treated(meta, group, x)
		default:
			out[r.Text(k)] = r.masked(x)
		}
	}
	return out
}

// isAddressRecord reports whether an object is a set of DNS records that hold addresses or names, as everybody can ask for.
func isAddressRecord(of map[string]any) bool {
	kind, _ := of["type"].(string)
	_, timed := of["ttl"]
	return timed && slices.Contains([]string{"A", "AAAA", "CNAME", "NS"}, kind)
}

package azuredns

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/dns/armdns"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// Probe implements zone.Prober. Its requests name a set that does not exist, beside the name and with a name that nobody
// uses, and demand an etag that no set has: the write is refused with 412 (page "Overview of DNS zones and records":
// with If-Match, PUT only succeeds if the resource exists and its etag matches), and there is nothing to delete. Azure
// looks at the role before it looks at the etag, so that a 412 also says that the credentials may write the type.
func (d *Driver) Probe(ctx context.Context, name string) error {
	op := "probe the conditions for " + name
	name, err := dnsx.Canonical(name)
	if err != nil {
		return d.errorOf(op, fmt.Errorf("%w: %w", zone.ErrInvalid, err))
	}
	if _, err := zone.FenceName(name, d.apex); err != nil {
		return d.errorOf(op, err)
	}
	parent := dnsx.Parent(name)
	if name == d.apex {
		parent = d.apex
	}
	label := "crossfade-probe-" + strings.ToLower(rand.Text()[:12])
	beside, err := dnsx.Canonical(label + "." + parent)
	if err != nil {
		return d.errorOf(op, fmt.Errorf("%w: there is no room for a probe beside it: %w", zone.ErrInvalid, err))
	}
	for _, typ := range writable() {
		if err := d.probe(ctx, beside, typ); err != nil {
			return d.errorOf(op, err)
		}
	}
	return nil
}

func (d *Driver) probe(ctx context.Context, name, typ string) error {
	data := map[string]string{"A": "192.0.2.1", "AAAA": "2001:db8::1", "CNAME": "probe.invalid.", "TXT": dnsx.TextData("probe")}[typ]
	send, err := body(zone.RRset{Name: name, Type: typ, TTL: 1, Data: []string{data}}, found{}, nil)
	if err != nil {
		return err
	}
	never := to.Ptr(rand.Text())
	_, err = d.sets.CreateOrUpdate(ctx, d.group, d.zone, d.relative(name), armdns.RecordType(typ), send, &armdns.RecordSetsClientCreateOrUpdateOptions{IfMatch: never})
	switch {
	case err == nil:
		err = &zone.Error{
			Op: "probe the conditions for " + name, Hint: "do not change this zone by this driver: without conditions two writers could undo each other",
			Err: fmt.Errorf("%w: it took a %s set on the false condition of an etag", zone.ErrConditionsIgnored, typ),
		}
		if at, look := d.get(ctx, name, typ); look == nil && at.raw != nil {
			return errors.Join(err, d.remove(ctx, at))
		}
		return err
	case !failed(err):
		return err
	}
	_, err = d.sets.Delete(ctx, d.group, d.zone, d.relative(name), armdns.RecordType(typ), &armdns.RecordSetsClientDeleteOptions{IfMatch: never})
	var refused *azcore.ResponseError
	if err == nil || failed(err) || errors.As(err, &refused) && refused.StatusCode == http.StatusNotFound {
		return nil
	}
	return err
}

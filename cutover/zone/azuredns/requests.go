package azuredns

import (
	"context"
	"errors"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/dns/armdns"

	"github.com/crossfade-project/crossfade/cutover/zone"
)

// get reads one set. One that does not exist is found without raw, which only Azure's own word for it says: a missing
// zone or group has another code.
func (d *Driver) get(ctx context.Context, name, typ string) (found, error) {
	reply, err := d.sets.Get(ctx, d.group, d.zone, d.relative(name), armdns.RecordType(typ), nil)
	var refused *azcore.ResponseError
	if errors.As(err, &refused) && refused.StatusCode == http.StatusNotFound && refused.ErrorCode == "NotFound" {
		return found{set: zone.RRset{Name: name, Type: typ}}, nil
	}
	if err != nil {
		return found{}, err
	}
	return d.read(&reply.RecordSet)
}

// put writes a set in the place of what was read: by its etag, or only where there is none.
func (d *Driver) put(ctx context.Context, set zone.RRset, prior found, meta map[string]*string) error {
	send, err := body(set, prior, meta)
	if err != nil {
		return err
	}
	options := &armdns.RecordSetsClientCreateOrUpdateOptions{IfNoneMatch: to.Ptr("*")}
	if prior.raw != nil {
		options = &armdns.RecordSetsClientCreateOrUpdateOptions{IfMatch: to.Ptr(prior.etag())}
	}
	_, err = d.sets.CreateOrUpdate(ctx, d.group, d.zone, d.relative(set.Name), armdns.RecordType(set.Type), send, options)
	return err
}

// note changes a set's metadata, and nothing else of it, by its etag.
func (d *Driver) note(ctx context.Context, at found, meta map[string]*string) error {
	return d.put(ctx, zone.RRset{Name: at.set.Name, Type: at.set.Type}, at, meta)
}

// remove deletes a set that was read, by its etag.
func (d *Driver) remove(ctx context.Context, prior found) error {
	_, err := d.sets.Delete(ctx, d.group, d.zone, d.relative(prior.set.Name), armdns.RecordType(prior.set.Type),
		&armdns.RecordSetsClientDeleteOptions{IfMatch: to.Ptr(prior.etag())})
	return err
}

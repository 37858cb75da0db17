package azure

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/body"
)

// inBlocks sends a blob in blocks. The name of a block says of which upload it is, its number, and the MD5 with which the
// service took it: so the list of what the service has tells what is in it. All names of a blob's blocks have one length, as
// the service wants it.
func (w *write) inBlocks(ctx context.Context, r io.Reader, size int64, opts Options) (tag *azcore.ETag, sum []byte, err error) {
	up := body.Upload{Log: w.opts.Upload, Send: w.send, Same: func(part body.Part, tag string) bool { return hex.EncodeToString(part.MD5()) == tag }}
	plan := body.NewPlan(size, opts.PartSize, maxBlocks, opts.Workers)
	switch {
	case up.Log == nil:
		w.upload = rand.Text()
	case up.Log.State.ID != "":
		w.upload, plan = up.Log.State.ID, body.NewPlan(size, up.Log.State.PartSize, maxBlocks, opts.Workers)
		up.Have, err = w.have(ctx, plan, up.Log.State)
	default:
		w.upload = rand.Text()
		err = up.Log.Note(bucket.UploadNote{ID: w.upload, PartSize: plan.PartSize})
	}
	if err != nil {
		return nil, nil, err
	}
	w.blocks = make([]string, (plan.Size+plan.PartSize-1)/plan.PartSize)
	for number, sum := range up.Have {
		w.blocks[number-1] = sum
	}
	hashed := body.NewHash(r, true) // the blob keeps it as its Content-MD5
	plan.Budget = w.opts.Budget
	err = up.All(ctx, hashed, plan)
	if err == nil {
		err = body.CheckMD5(hashed.Sum(), w.opts.MD5)
	}
	if err == nil && up.Log != nil {
		err = up.Log.Note(bucket.UploadNote{Completes: true}) // the service makes the ETag of nothing that is known here
	}
	if err != nil {
		return nil, nil, err
	}
	ids := make([]string, len(w.blocks))
	for i, sum := range w.blocks {
		ids[i] = w.block(i+1, sum)
	}
	answer, err := w.client().CommitBlockList(ctx, ids, &blockblob.CommitBlockListOptions{
		Tags: w.opts.Properties.Tags, Metadata: w.metadata, Tier: w.tier(), HTTPHeaders: w.headers(hashed.Sum()), AccessConditions: w.conditions(),
		ImmutabilityPolicyMode: w.retention(), ImmutabilityPolicyExpiryTime: w.until(), LegalHold: w.hold(), CPKScopeInfo: w.scope(),
	})
	w.version = value(answer.VersionID)
	return answer.ETag, hashed.Sum(), err
}

// block is the name of a block, in base64.
func (w *write) block(number int, sum string) string {
	raw, err := hex.DecodeString(sum)
	if err != nil {
		raw = nil // no block has such a name, so the list of blocks is refused
	}
	return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%s-%05d-%s", w.upload, number, base64.RawURLEncoding.EncodeToString(raw)))
}

// send stages a block. Its tag is its MD5.
func (w *write) send(ctx context.Context, part body.Part) (string, error) {
	raw := part.MD5()
	sum := hex.EncodeToString(raw)
	_, err := w.client().StageBlock(ctx, w.block(part.Number, sum), streaming.NopCloser(part.Reader()), &blockblob.StageBlockOptions{
		TransactionalValidation: blob.TransferValidationTypeMD5(raw), CPKScopeInfo: w.scope(),
	})
	if err != nil {
		return "", fmt.Errorf("send block %d: %w", part.Number, err)
	}
	w.blocks[part.Number-1] = sum
	return sum, nil
}

// have are the blocks of this upload that the service holds, of the size that they must have. Where some were acknowledged
// and none is there, the upload was completed or has expired.
func (w *write) have(ctx context.Context, plan body.Plan, state bucket.UploadState) (map[int]string, error) {
	have := map[int]string{}
	answer, err := w.client().GetBlockList(ctx, blockblob.BlockListTypeUncommitted, nil)
	if err != nil && !errors.Is(kind(err), bucket.ErrNotExist) {
		return nil, fmt.Errorf("list the blocks of the unfinished upload: %w", err)
	}
	for _, block := range answer.UncommittedBlocks {
		name, err := base64.StdEncoding.DecodeString(value(block.Name))
		rest, ours := strings.CutPrefix(string(name), w.upload+"-")
		if err != nil || !ours {
			continue
		}
		var number int
		var sum string
		if _, err := fmt.Sscanf(rest, "%05d-%s", &number, &sum); err != nil || number < 1 || value(block.Size) != plan.Length(number) {
			continue
		}
		raw, err := base64.RawURLEncoding.DecodeString(sum)
		if err == nil {
			have[number] = hex.EncodeToString(raw)
		}
	}
	if len(have) == 0 && (state.Completes || len(state.Tags) > 0) {
		return nil, bucket.ErrUploadGone
	}
	return have, nil
}

// Abort implements bucket.Resumer. The service knows no request that would drop blocks: they cost their room for a week at
// most, or until that blob is written next.
func (b *Bucket) Abort(context.Context, string, string) error { return nil }

// Unfinished implements bucket.Resumer: uploads get their names here, before they begin.
func (b *Bucket) Unfinished(context.Context, string) ([]bucket.Unfinished, error) { return nil, nil }

package proof

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/miekg/dns"
	"github.com/minio/minio-go/v7"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/crossfade-project/crossfade/e2e/load"
	"github.com/crossfade-project/crossfade/internal/kube"
)

// A state is what is in both clusters, in both stores and in the zone of one scene, by name, without what differs between any
// two runs: times, what a server chose (cluster addresses, node ports), fences, and what the clock and the users wrote, which
// the books are for. The scene's own name reads SCENE, so that states of two scenes can be compared.
type state map[string]string

// these are not the applications' own: controllers make them, or servers keep them for themselves.
var notOurs = []string{"Event", "Endpoints", "EndpointSlice", "Lease", "Pod"}

// look reads the state of the scene.
func (s *scene) look(ctx context.Context) (state, error) {
	st := state{}
	for _, side := range s.rig.Sides {
		if err := s.lookAtCluster(ctx, side.Name, side.Kubeconfig, st); err != nil {
			return nil, fmt.Errorf("look at %s: %w", side.Name, err)
		}
	}
	if err := s.lookAtStores(ctx, st); err != nil {
		return nil, err
	}
	if err := s.lookAtZone(st); err != nil {
		return nil, err
	}
	out := state{}
	for key, value := range st {
		out[strings.ReplaceAll(key, s.name, "SCENE")] = strings.ReplaceAll(value, s.name, "SCENE")
	}
	return out, nil
}

// only returns the part of a state whose keys begin so.
func (st state) only(prefixes ...string) state {
	out := state{}
	for key, value := range st {
		if slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(key, p) }) {
			out[key] = value
		}
	}
	return out
}

// hash is one number for the whole.
func (st state) hash() string {
	h := sha256.New()
	for _, key := range slices.Sorted(maps.Keys(st)) {
		_, _ = fmt.Fprintf(h, "%q %q\n", key, st[key]) // a hash takes everything
	}
	return fmt.Sprintf("%x", h.Sum(nil))[:16]
}

// differences lists what differs between two states.
func (st state) differences(want state) []string {
	var out []string
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if got, ok := st[key]; !ok {
			out = append(out, key+" is missing")
		} else if got != want[key] {
			out = append(out, fmt.Sprintf("%s is %s, want %s", key, got, want[key]))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(st)) {
		if _, ok := want[key]; !ok {
			out = append(out, fmt.Sprintf("%s is there: %s", key, st[key]))
		}
	}
	return out
}

func (s *scene) lookAtCluster(ctx context.Context, side, kubeconfig string, into state) error {
	client, err := kube.Connect(kube.Options{Kubeconfig: kubeconfig})
	if err != nil {
		return err
	}
	resources, _, err := client.Resources(ctx)
	if err != nil {
		return err
	}
	for _, r := range resources {
		if slices.Contains(notOurs, r.Kind) || !r.Can("list") || !r.Namespaced && r.Kind != "Namespace" && r.Kind != "CustomResourceDefinition" {
			continue
		}
		namespace := ""
		if r.Namespaced {
			namespace = s.name
		}
		for obj, err := range client.List(ctx, r, namespace, "") {
			if apierrors.IsNotFound(err) && strings.HasSuffix(r.Group, ".crossfade.example") && !strings.HasPrefix(r.Group, s.name+".") {
				break // the kind of another scene, which has ended since
			}
			if err != nil {
				return err
			}
			if obj.GetLabels()[kube.LabelComponent] == kube.ComponentRights {
				continue // an administrator's
			}
			if len(obj.GetOwnerReferences()) > 0 || !r.Namespaced && !strings.Contains(obj.GetName(), s.name) {
				continue
			}
			text, err := plain(obj)
			if err != nil {
				return err
			}
			into[fmt.Sprintf("%s %s %s", side, r, obj.GetName())] = text
		}
	}
	return nil
}

// plain is an object as JSON, without what its server chose.
func plain(obj *unstructured.Unstructured) (string, error) {
	out := kube.Canonical(obj)
	unstructured.RemoveNestedField(out.Object, "metadata", "annotations", "kubectl.kubernetes.io/last-applied-configuration")
	if out.GetKind() == "Service" {
		for _, field := range []string{"clusterIP", "clusterIPs"} {
			unstructured.RemoveNestedField(out.Object, "spec", field)
		}
		ports, _, err := unstructured.NestedSlice(out.Object, "spec", "ports")
		if err != nil {
			return "", err
		}
		for _, port := range ports {
			delete(port.(map[string]any), "nodePort")
		}
		if err := unstructured.SetNestedSlice(out.Object, ports, "spec", "ports"); err != nil {
			return "", err
		}
	}
	raw, err := json.Marshal(out.Object)
	if label := obj.GetLabels()[kube.LabelMigration]; label != "" {
		raw = append(raw, " of "+label...)
	}
	return string(raw), err
}

// mine are the keys of a bucket that only the users and the clock write: the books know them.
func written(key string) bool {
	return strings.HasPrefix(key, "load/") || strings.HasPrefix(key, "ticks/")
}

// seeds is how many objects are in the shop's bucket before the migration begins.
const seeds = 40

// seed puts objects into the shop's bucket that every run must bring over as they are.
func (s *scene) seed(ctx context.Context) error {
	client, err := s.rig.S3Client()
	if err != nil {
		return err
	}
	for i := range seeds {
		body := strings.Repeat(fmt.Sprintf("item %d\n", i), 1+i*i)
		_, err := client.PutObject(ctx, s.demo.ShopBucket(), fmt.Sprintf("seed/%03d", i), strings.NewReader(body), int64(len(body)), minio.PutObjectOptions{
			ContentType: "text/plain; charset=utf-8", UserMetadata: map[string]string{"number": fmt.Sprint(i)},
		})
		if err != nil {
			return fmt.Errorf("seed the bucket of %s: %w", s.name, err)
		}
	}
	return nil
}

func (s *scene) lookAtStores(ctx context.Context, into state) error {
	for _, side := range []string{"blue", "green"} {
		st, err := s.store(side)
		if err != nil {
			return err
		}
		keys, err := st.list(ctx, s.demo.ShopBucket())
		if err != nil {
			return err
		}
		for _, key := range keys {
			if written(key) {
				continue
			}
			body, err := st.read(ctx, s.demo.ShopBucket(), key)
			if err != nil {
				return err
			}
			into["bucket of "+side+" "+key] = fmt.Sprintf("%x", sha256.Sum256(body))
		}
	}
	return nil
}

// token is the random part of a fence.
var token = regexp.MustCompile(`/[0-9a-f]{32}(["/])`)

func (s *scene) lookAtZone(into state) error {
	secret, err := s.rig.TSIGSecret()
	if err != nil {
		return err
	}
	const key = "crossfade."
	msg := new(dns.Msg)
	msg.SetAxfr("apps.test.")
	msg.SetTsig(key, dns.HmacSHA256, 300, time.Now().Unix())
	transfer := &dns.Transfer{TsigSecret: map[string]string{key: secret}}
	answers, err := transfer.In(msg, s.rig.Primary)
	if err != nil {
		return fmt.Errorf("transfer the zone: %w", err)
	}
	for answer := range answers {
		if answer.Error != nil {
			return fmt.Errorf("transfer the zone: %w", answer.Error)
		}
		for _, rr := range answer.RR {
			if text := rr.String(); strings.Contains(text, s.name) {
				into["zone "+rr.Header().Name+" "+dns.TypeToString[rr.Header().Rrtype]] = token.ReplaceAllString(text, "/TOKEN$1")
			}
		}
	}
	return nil
}

// A store reads one side's store, with a client that is neither the application's nor the driver's.
type store interface {
	list(ctx context.Context, bucket string) ([]string, error)
	// read returns load.ErrNotFound where nothing is kept as key.
	read(ctx context.Context, bucket, key string) ([]byte, error)
}

func (s *scene) store(side string) (store, error) {
	if side == "blue" {
		client, err := s.rig.S3Client()
		return s3{client}, err
	}
	client, err := s.rig.AzureClient()
	return azure{client}, err
}

type s3 struct{ *minio.Client }

func (c s3) list(ctx context.Context, bucket string) ([]string, error) {
	var keys []string
	for object := range c.ListObjects(ctx, bucket, minio.ListObjectsOptions{Recursive: true}) {
		if object.Err != nil {
			return nil, fmt.Errorf("list bucket %s: %w", bucket, object.Err)
		}
		keys = append(keys, object.Key)
	}
	return keys, nil
}

func (c s3) read(ctx context.Context, bucket, key string) ([]byte, error) {
	object, err := c.GetObject(ctx, bucket, key, minio.GetObjectOptions{})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	defer object.Close() //nolint:errcheck // it was only read
	body, err := io.ReadAll(object)
	if minio.ToErrorResponse(err).Code == minio.NoSuchKey {
		return nil, fmt.Errorf("read %s: %w", key, load.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	return body, nil
}

type azure struct{ *azblob.Client }

func (c azure) list(ctx context.Context, bucket string) ([]string, error) {
	var keys []string
	pages := c.NewListBlobsFlatPager(bucket, nil)
	for pages.More() {
		page, err := pages.NextPage(ctx)
		if isAbsent(err) {
			return nil, nil // no run has made it yet
		}
		if err != nil {
			return nil, fmt.Errorf("list container %s: %w", bucket, err)
		}
		for _, blob := range page.Segment.BlobItems {
			keys = append(keys, *blob.Name)
		}
	}
	return keys, nil
}

func (c azure) read(ctx context.Context, bucket, key string) (body []byte, err error) {
	answer, err := c.DownloadStream(ctx, bucket, key, nil)
	if isAbsent(err) {
		return nil, fmt.Errorf("read %s: %w", key, load.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	defer answer.Body.Close() //nolint:errcheck // it was only read
	return io.ReadAll(answer.Body)
}

func isAbsent(err error) bool {
	return bloberror.HasCode(err, bloberror.BlobNotFound, bloberror.ContainerNotFound)
}

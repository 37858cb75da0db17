package front

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/crossfade-project/crossfade/internal/forwarder"
	"github.com/crossfade-project/crossfade/internal/mend"
)

// Try is a request that every pod sends through itself.
type Try struct {
	Way    string `json:"way"`
	Scheme string `json:"scheme"`
	Host   string `json:"host"`
	Path   string `json:"path"`
}

// Try lets every pod send requests through itself.
func (c Cluster) Try(ctx context.Context, f Pods, tries []Try) error {
	pods, err := c.podsOf(ctx, f)
	if err != nil {
		return err
	}
	for _, pod := range pods {
		for _, t := range tries {
			q := url.Values{"way": {t.Way}, "scheme": {t.Scheme}, "host": {t.Host}, "path": {t.Path}}
			var got forwarder.Tried
			if err := c.ask(ctx, pod, "/try?"+q.Encode(), &got); err != nil {
				return err
			}
			what := fmt.Sprintf("pod %s/%s asks green for %s://%s%s", pod.Namespace, pod.Name, t.Scheme, t.Host, t.Path)
			if got.Error != "" {
				return &mend.Error{Op: what, Hint: "see that blue's pods may reach green's entry", Err: errors.New(got.Error)}
			}
			if got.Status >= 500 {
				return &mend.Error{Op: what, Hint: "see that blue's pods may reach green's entry", Err: fmt.Errorf("it answers %d", got.Status)}
			}
		}
	}
	return nil
}

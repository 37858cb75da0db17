package bucketsync

import "testing"

func TestFilterTakesWhatItsGlobsSay(t *testing.T) {
	for _, tt := range []struct {
		filter Filter
		taken  []string
		left   []string
	}{
		{Filter{}, []string{"a", "a/b", "", "a//b"}, nil},
		{Filter{Include: []string{"*.log"}}, []string{"x.log", "a/x.log", "a/b/.log"}, []string{"x.log/a", "x.txt"}},
		{Filter{Include: []string{"/*.log"}}, []string{"x.log"}, []string{"a/x.log"}},
		{Filter{Include: []string{"a/*"}}, []string{"a/b", "a/"}, []string{"a/b/c", "b/a/c"}},
		{Filter{Include: []string{"a/**"}}, []string{"a/b", "a/b/c"}, []string{"b"}},
		{Filter{Exclude: []string{"**/tmp/**", "*.bak"}}, []string{"a", "tmp"}, []string{"tmp/a", "a/tmp/b/c", "x.bak"}},
		{Filter{Include: []string{"a/**"}, Exclude: []string{"a/b"}}, []string{"a/c"}, []string{"a/b", "c"}},
		{Filter{Include: []string{"{a,b}/[0-9]"}}, []string{"a/1", "b/9"}, []string{"c/1", "a/x"}},
		{Filter{Include: []string{`\*`}}, []string{"*", "a/*"}, []string{"a"}},
		{Filter{Exclude: []string{"tmp/"}}.Below(), []string{"a", "tmp", "a/tmp/b"}, []string{"tmp/", "tmp/a", "tmp/a/b"}},
		{Filter{Include: []string{"**/tmp/", "b"}}.Below(), []string{"b", "tmp/", "a/tmp/b/c"}, []string{"tmp", "a"}},
		{Filter{Exclude: []string{"/"}}.Below(), []string{"a", "a/b"}, nil},
		{Filter{Exclude: []string{"tmp/"}}, []string{"tmp/a"}, []string{"tmp/"}}, // as it is stored
		{Filter{Include: []string{"**"}}, []string{"a", "a/b"}, nil},
		{Filter{Exclude: []string{"a2"}}.Within(Filter{Include: []string{"a*"}}, Filter{Include: []string{"b*"}}), []string{"a1", "b1"}, []string{"a2", "c"}},
		{Filter{Exclude: []string{"a2"}}.Within(Filter{Include: []string{"a*"}}, Filter{}), []string{"a1", "c"}, []string{"a2"}},
	} {
		for _, key := range tt.taken {
			if !tt.filter.takes(key) {
				t.Errorf("%s leaves %q out", tt.filter, key)
			}
		}
		for _, key := range tt.left {
			if tt.filter.takes(key) {
				t.Errorf("%s takes %q", tt.filter, key)
			}
		}
	}
}

func TestFilterRefusesWhatIsNoGlob(t *testing.T) {
	for _, bad := range []string{"", "[a", "{a", `a\`, "a\xff"} {
		if (Filter{Exclude: []string{bad}}).Check() == nil {
			t.Errorf("%q is taken for a glob", bad)
		}
	}
}

package cli

import "time"

// Amounts are how far a task has come, in objects and in bytes. A total of 0 is not known, and what a task does not count is 0 in both.
// Another phase counts anew.
type Amounts struct {
	Objects, TotalObjects int64
	Bytes, TotalBytes     int64
	Phase                 string
}

// Forecast says how long a task still takes. It goes by what the last minute brought, so that it follows a store that becomes slower. Where what
// is left is of the size of what was seen, the rates of objects and of bytes each say a time, and the longer one is taken. Where it is not, as
// when the small objects come first, neither rate says anything of the rest: then an object and a byte are given a time of their own,
// those that fit the last minute best. As long as all that was seen is alike, there are no such two, and nothing is said.
//
// The zero value has seen nothing.
type Forecast struct {
	phase  string
	points []point
}

type point struct {
	at             time.Time
	objects, bytes float64
}

const (
	forecastWindow = time.Minute
	forecastStep   = time.Second
	forecastLeast  = 3 * time.Second     // before that nothing is said
	forecastMost   = 30 * 24 * time.Hour // beyond that neither
	forecastSteps  = 4                   // that a fit needs
	alikeSizes     = 4                   // by what factor mean sizes may differ
	distinctSizes  = 0.05                // how far sizes must be from all alike for a fit, of 1
)

// Note takes in how far the task has come now.
func (f *Forecast) Note(now time.Time, a Amounts) {
	next := point{now, float64(a.Objects), float64(a.Bytes)}
	n := len(f.points)
	if n > 0 {
		if last := f.points[n-1]; a.Phase != f.phase || next.objects < last.objects || next.bytes < last.bytes || now.Before(last.at) {
			f.points, n = nil, 0
		}
	}
	f.phase = a.Phase
	if n > 1 && f.points[n-1].at.Sub(f.points[n-2].at) < forecastStep {
		n--
	}
	f.points = append(f.points[:n], next)
	for len(f.points) > 2 && now.Sub(f.points[1].at) >= forecastWindow {
		f.points = f.points[1:]
	}
}

// Left is how long the task still takes; false where nobody knows.
func (f *Forecast) Left(a Amounts) (time.Duration, bool) {
	if len(f.points) < 2 || a.TotalObjects == 0 && a.TotalBytes == 0 {
		return 0, false
	}
	first, last := f.points[0], f.points[len(f.points)-1]
	took := last.at.Sub(first.at)
	objects, bytes := float64(max(a.TotalObjects-a.Objects, 0)), float64(max(a.TotalBytes-a.Bytes, 0))
	if objects == 0 && (bytes == 0 || a.TotalObjects > 0) {
		return 0, true
	}
	if took < forecastLeast {
		return 0, false
	}
	seconds, ok := f.seconds(took.Seconds(), last.objects-first.objects, last.bytes-first.bytes, objects, bytes, a)
	if !ok || seconds > forecastMost.Seconds() {
		return 0, false
	}
	return time.Duration(seconds * float64(time.Second)), true
}

// seconds are what objects and bytes that are left take, after so many of both took so long.
func (f *Forecast) seconds(took, didObjects, didBytes, objects, bytes float64, a Amounts) (float64, bool) {
	switch {
	case a.TotalBytes == 0:
		return took * objects / didObjects, didObjects > 0
	case a.TotalObjects == 0:
		return took * bytes / didBytes, didBytes > 0
	case didObjects == 0 && didBytes == 0:
		return 0, false
	case didObjects*bytes <= alikeSizes*didBytes*objects && didBytes*objects <= alikeSizes*didObjects*bytes && didObjects > 0 && didBytes > 0:
		return took * max(objects/didObjects, bytes/didBytes), true
	}
	perObject, perByte, ok := f.fit()
	return perObject*objects + perByte*bytes, ok
}

// fit finds the times of an object and of a byte whose sums come nearest to how long each step took.
func (f *Forecast) fit() (perObject, perByte float64, ok bool) {
	var oo, ob, bb, ot, bt float64
	for i := 1; i < len(f.points); i++ {
		took := f.points[i].at.Sub(f.points[i-1].at).Seconds()
		o, b := f.points[i].objects-f.points[i-1].objects, f.points[i].bytes-f.points[i-1].bytes
		oo, ob, bb, ot, bt = oo+o*o, ob+o*b, bb+b*b, ot+o*took, bt+b*took
	}
	det := oo*bb - ob*ob
	if len(f.points) <= forecastSteps || det <= distinctSizes*oo*bb {
		return 0, 0, false
	}
	perObject, perByte = (ot*bb-bt*ob)/det, (bt*oo-ot*ob)/det
	if perObject < 0 {
		return 0, bt / bb, true
	}
	if perByte < 0 {
		return ot / oo, 0, true
	}
	return perObject, perByte, true
}

package bucketsync

// Requests are what a sync is going to ask of one store, as a plan foresees it. What goes wrong and is tried again is not
// among them, nor what the source's writers add meanwhile, nor what a listing passes over because a filter leaves it out.
type Requests struct {
	List   int64 `json:"list"`
	Head   int64 `json:"head"`
	Get    int64 `json:"get"`
	Put    int64 `json:"put"`  // with the begin and the end of uploads in parts
	Part   int64 `json:"part"` // of uploads in parts
	Delete int64 `json:"delete"`
	// Out is the bytes that are read from it.
	Out int64 `json:"out"`
}

// foreseeCopy adds what the copy of an object takes.
func (e *engine) foreseeCopy(c *Planned, p pair) {
	from, to := &c.FromRequests, &c.ToRequests
	if e.copier() != nil && p.src.Size > 0 {
		// The server copies by itself, large objects in parts that it chooses; the result is looked at.
		from.Head++
		to.Put++
		to.Head++
		return
	}
	from.Get++
	from.Out += p.src.Size
	if !e.fromCaps.OpenTells {
		from.Head++
	}
	if part := e.toCaps.PartSize; part > 0 && p.src.Size > part {
		if e.toCaps.MaxParts > 0 {
			part = max(part, (p.src.Size+int64(e.toCaps.MaxParts)-1)/int64(e.toCaps.MaxParts))
		}
		to.Put += 2
		to.Part += (p.src.Size + part - 1) / part
	} else {
		to.Put++
	}
	if p.dst == nil && !e.toCaps.ConditionalPut || p.dst != nil && !e.toCaps.ConditionalWrite {
		to.Head++ // see stillAt
	}
}

// foreseeLook adds what it takes to compare two objects by what their stores tell.
func foreseeLook(c *Planned) {
	c.FromRequests.Head++
	c.ToRequests.Head++
}

// foreseeRead adds what it takes to compare two objects of a size by reading them.
func foreseeRead(c *Planned, size int64) {
	foreseeLook(c)
	for _, r := range []*Requests{&c.FromRequests, &c.ToRequests} {
		r.Get++
		r.Out += size
	}
}

// foreseeDeletion adds what a deletion takes: both sides are looked at before it.
func foreseeDeletion(c *Planned) {
	foreseeLook(c)
	c.ToRequests.Delete++
}

// foresee adds what does not depend on single objects. A sync lists both sides once to plan and once to copy; a final one
// once more for the pass that finds nothing, and once for the proof.
func (e *engine) foresee(c *Planned) {
	todo := c.Copy + c.ToRead + c.Deletions
	listings := int64(1)
	if todo > 0 || c.Final {
		listings++
	}
	if c.Final {
		listings++
		if todo > 0 {
			listings++
		}
	}
	c.FromRequests.List = listings * pages(c.Copy+c.Same+c.ToRead+c.Conflicts, e.fromCaps.ListPage)
	c.ToRequests.List = listings * pages(c.Held, e.toCaps.ListPage)
	if c.Held == 0 && c.Copy > 0 && e.copier() == nil {
		c.FromRequests.Head += 2 * int64(len(e.echoes())) // see echo
	}
	if e.kin != nil && e.kin.src.own != nil {
		c.FromRequests.List++ // see acquaint
		c.ToRequests.List++
	}
	// Properties are read back of a sample of what is written: see shapes. Most buckets have one shape.
	if e.copier() == nil {
		c.ToRequests.Head += min(c.Copy, shapeFirst) + c.Copy/shapeEvery
	}
}

// pages is how many requests a listing of n keys takes; an empty one takes one.
func pages(n int64, page int) int64 {
	if page == 0 {
		return 0
	}
	return max(1, (n+int64(page)-1)/int64(page))
}

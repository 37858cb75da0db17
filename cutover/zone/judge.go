package zone

// Judger is the optional ability to say of a change that it could never be carried out, before anybody relies on it.
type Judger interface {
	// Judge returns the ErrInvalid that Swap would return for the change whatever the zone holds. It makes no request.
	Judge(change Change) error
}

// Judge says whether a zone would refuse a change whatever it holds. Most refuse none that is well-formed.
func Judge(z Zone, change Change) error {
	if judger, ok := z.(Judger); ok {
		return judger.Judge(change)
	}
	_, err := change.Normal(z.Apex())
	return err
}

package prices

import (
	"fmt"
	"strings"
)

// Counts are what a store is going to be asked for.
type Counts struct {
	// Requests of each kind.
	Requests map[Kind]int64 `json:"requests"`
	// Egress is the bytes that leave the store.
	Egress int64 `json:"egress,omitempty"`
}

// Estimate is what counts cost at a store, as far as that is known.
type Estimate struct {
	// Entry is what the prices are of; nil is that none are known.
	Entry *Entry `json:"prices,omitempty"`
	// Cost is the sum of what has a price, in the table's currency.
	Cost float64 `json:"cost"`
	// Unknown lists what has none. Where it is not empty, Cost is not the whole.
	Unknown []string `json:"unknown,omitempty"`
	// Currency and Date are the table's.
	Currency string `json:"currency"`
	Date     string `json:"date"`
}

// Estimate adds up what counts cost at a store.
func (t *Table) Estimate(s Store, c Counts) Estimate {
	out := Estimate{Entry: t.Find(s), Currency: t.Currency, Date: t.Date}
	add := func(n int64, price float64, known bool, what string) {
		switch {
		case n == 0:
		case known:
			out.Cost += float64(n) * price
		default:
			out.Unknown = append(out.Unknown, what)
		}
	}
	for _, kind := range Kinds() {
		var price float64
		var known bool
		if out.Entry != nil {
			price, known = out.Entry.Requests[kind]
		}
		add(c.Requests[kind], price/1000, known, string(kind)+" requests")
	}
	var egress float64
	known := out.Entry != nil && out.Entry.Egress != nil
	if known {
		egress = *out.Entry.Egress
	}
	add(c.Egress, egress/GB, known, "bytes that leave it")
	return out
}

// Complete says that everything that was counted has a price.
func (e Estimate) Complete() bool { return len(e.Unknown) == 0 }

// String is the estimate in one line, which names the day of the figures, or says that no price is known.
func (e Estimate) String() string {
	if e.Entry == nil {
		if e.Complete() {
			return "nothing is asked of it"
		}
		return "no price known (table of " + e.Date + "): add the store to a table of your own"
	}
	text := fmt.Sprintf("estimate %s (%s, prices of %s)", Money(e.Cost, e.Currency), e.Entry.Of, e.Entry.Date)
	if !e.Complete() {
		text += ", and no price known of " + strings.Join(e.Unknown, ", ")
	}
	return text
}

// Money writes an amount: to the cent from one on, and below with two digits that say something.
func Money(amount float64, currency string) string {
	switch {
	case amount == 0:
		return "0 " + currency
	case amount < 0.0001:
		return "less than 0.0001 " + currency
	case amount < 1:
		return fmt.Sprintf("%.4f %s", amount, currency)
	}
	return fmt.Sprintf("%.2f %s", amount, currency)
}

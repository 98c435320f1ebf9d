package export

import (
	"context"
	"fmt"
	"time"

	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/pricing"
)

// adjustment is what a row of adjustments is made of: a part of what a bill has beyond
// the books, for a day.
type adjustment struct {
	ledger.Unexplained
	day    time.Time
	part   string // "": none, or it was posted without its parts
	amount pricing.Picodollars
}

func writeAdjustments(ctx context.Context, books *ledger.Ledger, r Request, out writer) error {
	if err := out.header(names(adjustmentColumns)); err != nil {
		return err
	}
	row := make([]cell, 0, len(adjustmentColumns))
	return books.Unexplained(ctx, func(u ledger.Unexplained) error {
		a := &adjustment{Unexplained: u}
		var err error
		if a.day, err = time.Parse(time.DateOnly, u.Day); err != nil {
			return err
		}
		if a.day.Before(r.Since) || !a.day.Before(r.Until) {
			return nil
		}
		for a.part, a.amount = range u.ByPart() {
			row = cells(adjustmentColumns, a, row)
			if err := out.row(row); err != nil {
				return err
			}
		}
		return nil
	})
}

// adjustmentColumns are the table of adjustments: FOCUS's columns first.
var adjustmentColumns = []column[*adjustment]{
	{"BilledCost", func(a *adjustment) cell { return moneyCell(a.amount) }},
	{"EffectiveCost", func(a *adjustment) cell { return moneyCell(a.amount) }},
	{"ContractedCost", func(a *adjustment) cell { return moneyCell(a.amount) }},
	{"ListCost", func(a *adjustment) cell { return moneyCell(a.amount) }},
	{"BillingCurrency", func(*adjustment) cell { return textCell(currency) }},
	{"BillingPeriodStart", func(a *adjustment) cell { return timeCell(month(a.day, 0)) }},
	{"BillingPeriodEnd", func(a *adjustment) cell { return timeCell(month(a.day, 1)) }},
	{"ChargePeriodStart", func(a *adjustment) cell { return timeCell(a.day) }},
	{"ChargePeriodEnd", func(a *adjustment) cell { return timeCell(a.day.AddDate(0, 0, 1)) }},
	{"ChargeCategory", func(*adjustment) cell { return textCell(categoryAdjustment) }},
	{"ChargeDescription", func(a *adjustment) cell { return textCell(a.description()) }},
	{"ProviderName", func(a *adjustment) cell { return textCell(a.Provider) }},
	{"InvoiceIssuerName", func(a *adjustment) cell { return textCell(a.Provider) }},
	{"ServiceCategory", func(*adjustment) cell { return textCell(serviceCategory) }},
	{"ServiceName", func(a *adjustment) cell { return textCell(a.Provider + " API") }},

	{"x_Schema", func(*adjustment) cell { return textCell(AdjustmentsSchema) }},
	{"x_Part", func(a *adjustment) cell { return textCell(a.part) }},
	{"x_Agrees", func(a *adjustment) cell { return boolCell(a.Agrees()) }},
	{"x_Posted", func(a *adjustment) cell { return timeCell(a.Posted) }},
	{"x_Model", func(a *adjustment) cell { return textCell(a.Model) }},
	{"x_ServiceTier", func(a *adjustment) cell { return textCell(a.Tier) }},
}

// description says in words what a row is.
func (a *adjustment) description() string {
	switch of := fmt.Sprintf("%s, %s", firstOf(a.Model, "all models"), a.Day); {
	case a.Agrees():
		return "The bill agrees with the books: " + of
	case a.part == "":
		return "The bill less the books: " + of
	default:
		return fmt.Sprintf("The bill less the books, %s: %s", a.part, of)
	}
}

package sqldb

import "github.com/jackc/pgx/v5/pgtype"

// wrapNulls makes NULL leave a zero value, as on SQLite, for the kinds that appear in nullable columns.
func wrapNulls(dest []any) []any {
	for i, d := range dest {
		switch d := d.(type) {
		case *string:
			dest[i] = (*nullString)(d)
		case *int64:
			dest[i] = (*nullInt)(d)
		case *float64:
			dest[i] = (*nullFloat)(d)
		}
	}
	return dest
}

type nullString string

// ScanText implements pgtype.TextScanner.
func (s *nullString) ScanText(v pgtype.Text) error {
	*s = nullString(v.String)
	return nil
}

type nullInt int64

// ScanInt64 implements pgtype.Int64Scanner.
func (n *nullInt) ScanInt64(v pgtype.Int8) error {
	*n = nullInt(v.Int64)
	return nil
}

type nullFloat float64

// ScanFloat64 implements pgtype.Float64Scanner.
func (f *nullFloat) ScanFloat64(v pgtype.Float8) error {
	*f = nullFloat(v.Float64)
	return nil
}

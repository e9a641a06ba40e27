package app

import "context"

// verify is `verify`: names what in the database is not as it must be, and fails where there is anything.
func (p *Program) verify(ctx context.Context, _ []string) error {
	return p.operate(ctx, "verify", nil, p.Out)
}

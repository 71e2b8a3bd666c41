package auth

// CountTickets returns two numbers: issued is the number of tickets in memory that are
// not used, and counted is the number of tickets that count for MaxTickets. Both may
// include tickets that have expired, but were not removed yet.
func (a *Authority) CountTickets() (issued, counted int) {
	a.tickets.mu.Lock()
	defer a.tickets.mu.Unlock()
	return len(a.tickets.issued), len(a.tickets.order)
}

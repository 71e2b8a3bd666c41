package auth

// CountTickets returns how many tickets the authority can redeem or has not yet
// removed, and how many it counts towards the limit.
func (a *Authority) CountTickets() (issued, counted int) {
	a.tickets.mu.Lock()
	defer a.tickets.mu.Unlock()
	return len(a.tickets.issued), len(a.tickets.order)
}

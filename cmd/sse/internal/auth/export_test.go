package auth

// CountTickets returns the number of tickets in memory. Some of them may have expired,
// but were not removed yet.
func (a *Authority) CountTickets() int {
	a.tickets.mu.Lock()
	defer a.tickets.mu.Unlock()
	return a.tickets.order.Len()
}

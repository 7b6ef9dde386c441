"""What a call costs and where that is written: prices, holds, the journal, the ledger's port."""

package ocisource

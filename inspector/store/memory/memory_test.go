package memory_test

import (
	"testing"

	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/store/memory"
	"github.com/slackdev/slackdev/inspector/store/storetest"
)

func TestStoreKeepsItsContract(t *testing.T) {
	storetest.Run(t, func(*testing.T) inspector.Store { return new(memory.Store) })
}

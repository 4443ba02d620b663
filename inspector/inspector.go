// Package inspector holds the nouns that everybody here talks about: the Exchange
// (a request, and what became of it), the Store that keeps exchanges, and the
// Journal that saves one and then announces it.
//
// Values of these types are immutable once they are shared: whoever wants a changed
// Exchange copies it, and saves the copy under the same ID.
package inspector

/* vocabulary: the bytes of tokens as a trie, for whoever walks over all of them. */
#ifndef GRAMMAR_VOCABULARY_H
#define GRAMMAR_VOCABULARY_H

#include "grammar/grammar.h"

/* A trie in the order in which it is walked: a node, then all under it. */
struct trie_node {
	uint32_t skip;     /* the node behind all under it */
	uint32_t first, n; /* of trie.id: tokens that end here */
	uint16_t depth;    /* bytes up to here, from 1 on */
	uint8_t byte;
};
struct trie {
	struct trie_node *node;
	int32_t *id;
	size_t n_nodes, n_ids;
	size_t depth; /* the deepest */
	/* [V + 1] where the bytes of a token lie in `bytes`; none: it is never allowed */
	size_t *at;
	char *bytes;
};

struct grammar_vocabulary {
	size_t V;
	struct trie trie[2]; /* of tokens that follow others; of the first, or empty where that is the same */
	bool first_differs;
	struct tokens ends;
};

#endif

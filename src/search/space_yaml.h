/* space_yaml: a YAML text as a tree: texts, lists and mappings, with the line where each begins. */
#ifndef SEARCH_SPACE_YAML_H
#define SEARCH_SPACE_YAML_H

#include "base/arena.h"
#include "base/err.h"

enum yaml_kind { YAML_TEXT, YAML_LIST, YAML_MAP };

struct yaml_node {
	enum yaml_kind kind;
	size_t line;                   /* from 1 */
	const char *text;              /* of a text */
	const char *key;               /* of a value in a mapping */
	struct yaml_node *first, *next;        /* what is in it, in order; what stands beside it */
};

/* NULL and a sentence. Anchors, aliases, keys that are no texts or come twice, a second document, and more than eight
 * levels are refused. Nodes live in `mem`; an empty text is an empty mapping. */
struct yaml_node *yaml_tree(struct arena *mem, const char *text, size_t n, const char *where, struct err *e);

#endif

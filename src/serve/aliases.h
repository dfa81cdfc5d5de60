/* aliases: names for models in a file, which `kungfu serve FILE` serves and a promotion moves.
 *
 *     small: models/small.gguf                    a name for a model alone
 *     mail:
 *       path: models/small.gguf
 *       adapter: runs/mail/adapter                lies over the model in all answers; or none
 *       documents: docs.db                        of the model (all its names): an index before questions,
 *       adapter-dir: adapters                     a folder of adapters that may be asked for by their names,
 *       model-draft: models/tiny.gguf             a model that guesses ahead; all may be missing
 *       since: "2026-05-04T10:00:00Z"             what is below is written by whoever moves the name; may be missing
 *       note: {…}                                 why it was moved, as whoever did it tells it: any value
 *       history:                                  what it stood for before, oldest first
 *       - {path: …, adapter: …, since: …, note: …, until: "…", withdrawn: true}
 *
 * Paths are relative to the file's folder. A version that a rollback took back is `withdrawn`: it stays in the history
 * and no later rollback returns to it. What is of the model stays with the name when it moves. Other keys are refused
 * by name. YAML as base/yaml_json.h reads it.
 *
 * A file is changed beside and renamed, and held against others who change one in the same folder. Lines of other names
 * stay as they are, comments too, where names stand at the beginning of lines; else the file is written anew. */
#ifndef SERVE_ALIASES_H
#define SERVE_ALIASES_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* Keys that are of the model. */
enum { ALIAS_DOCUMENTS, ALIAS_ADAPTER_DIR, ALIAS_MODEL_DRAFT, ALIAS_OF_MODEL };
extern const char *const alias_keys[ALIAS_OF_MODEL];

struct alias {
	const char *name;
	char *path, *adapter;   /* to be opened from where the process is; adapter: NULL for none */
	char *of_model[ALIAS_OF_MODEL]; /* the same, each or NULL */
	const char *since;      /* or NULL */
	const json_t *note;     /* or NULL */
	const json_t *history;  /* as in the file, paths too; NULL: none */
};

struct aliases {
	char *file;
	struct alias *rows;     /* [n] in the file's order */
	size_t n;
	json_t *json;           /* what const pointers point into */
};

/* Is it a file whose name ends as YAML's do (.yaml, .yml)? */
bool aliases_is(const char *path);
/* −1 and a sentence: no YAML, a key that is not known, a name without a path, no name at all. Whether the paths lead
 * anywhere is not looked at. */
int aliases_open(struct aliases *a, const char *file, struct err *e);
void aliases_close(struct aliases *a);
const struct alias *aliases_find(const struct aliases *a, const char *name); /* NULL: there is none */

/* The name stands for path and adapter (NULL: none; both as seen from where the process is) from now on. What it stood
 * for goes to its history. A file that is not there, or a name that is not, is made. when: text of the time, UTC;
 * note: kept as it is, or NULL. */
int aliases_move(const char *file, const char *name, const char *path, const char *adapter, const char *when,
                 const json_t *note, struct err *e);
/* The same, but only while the name still stands for what `was` has as path and adapter (path NULL: for nothing yet):
 * between looking and moving somebody else may have moved it. */
int aliases_move_from(const char *file, const char *name, const struct alias *was, const char *path,
                      const char *adapter, const char *when, const json_t *note, struct err *e);
/* It stands for the newest of its history that is not withdrawn, as before; what it stood for is withdrawn, with `why`
 * as that entry's "why" (NULL: none). −1 and a sentence where there is none. */
int aliases_back(const char *file, const char *name, const char *when, const char *why, struct err *e);

#endif

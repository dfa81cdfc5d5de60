/* files: what clients upload and what is made for them, in a folder, as OpenAI's file objects.
 *
 *     DIR/files/file-HASH.json-object   the object: {id, object, bytes, created_at, filename, purpose, status}
 *     DIR/files/file-HASH.EXT           its bytes; EXT is the file's own (jsonl, json, csv, tsv, txt), else jsonl
 *
 * HASH is of the bytes, the name and the purpose (XXH3-128): the same file again is the same object. The object is
 * written last and removed first, each in one step, so a file is there whole or not at all, and any thread or a later
 * process may read the folder at any time. */
#ifndef SERVE_FILES_H
#define SERVE_FILES_H

#include <jansson.h>
#include <stddef.h>

#include "base/err.h"

int files_open(const char *dir, struct err *e);
/* New; NULL and a sentence. filename: its last part is taken. */
json_t *files_add(const char *dir, const char *filename, const char *purpose, const void *data, size_t n,
                  struct err *e);
json_t *files_get(const char *dir, const char *id);     /* new; NULL: there is none */
json_t *files_list(const char *dir);                    /* new; the newest first */
char *files_path(const char *dir, const char *id);      /* of its bytes; mem_free; NULL: there is none */
int files_remove(const char *dir, const char *id, struct err *e);

#endif

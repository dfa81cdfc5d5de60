/* rows: JSONL files (also .gz, or a folder of them), one row a line, their shape recognized and named.
 *
 * Shapes (keys that must be there): text · messages · conversations · instruction(+input)+output · prompt+completion ·
 * prompt+chosen+rejected · prompt+completion+label · query+choices+gold. Extra keys are kept. One file set has one
 * shape. */
#ifndef DATA_ROWS_H
#define DATA_ROWS_H

#include <jansson.h>

#include "base/arena.h"
#include "base/err.h"

enum row_shape {
	ROW_NONE,
	ROW_TEXT,
	ROW_MESSAGES,
	ROW_CONVERSATIONS,
	ROW_INSTRUCTION,
	ROW_COMPLETION,
	ROW_PREFERENCE,
	ROW_LABELLED,
	ROW_CHOICE
};
const char *row_shape_name(enum row_shape s);   /* "prompt,completion" */
enum row_shape row_shape_of(const json_t *row); /* ROW_NONE when none fits; the most specific one else */

struct row {
	json_t *json;
	const char *file;
	size_t line;                /* from 1 */
};

struct rows {
	struct arena mem;
	struct row *items;
	size_t n, cap;
	enum row_shape shape;
	char hash[33];              /* of the bytes of all files, in order */
};

int rows_load(struct rows *r, const char *path, struct err *e); /* a broken line: "file:line: …" */
/* the same, whatever keys the objects have; the shape is ROW_NONE */
int rows_load_objects(struct rows *r, const char *path, struct err *e);
void rows_release(struct rows *r);

#endif

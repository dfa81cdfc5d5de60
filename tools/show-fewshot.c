/* show-fewshot: for tools/check-fewshot. usage: show-fewshot EXAMPLES ROWS K SELECT SEED: the question of each row with
 * its examples before it, as a text, a JSON string a line. */
#include <stdio.h>
#include <stdlib.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "data/fewshot.h"
#include "data/shape.h"

static int show(const struct rows *made, struct err *e)
{
	for (size_t i = 0; i < made->n; i++) {
		json_t *asked = shape_ask(made->shape, made->items[i].json, e);
		char *line = asked ? json_dumps(asked, JSON_ENCODE_ANY) : NULL;
		if (!line)
			return -1;
		puts(line);
		free(line);
		json_decref(asked);
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct rows examples = { 0 }, rows = { 0 }, made = { 0 };
	struct fewshot *f = NULL;
	struct err e = ERR_INIT;
	int status = argc == 6 ? 0 : err_set(&e, "usage: show-fewshot EXAMPLES ROWS K SELECT SEED");

	if (!status)
		status = rows_load(&examples, argv[1], &e) < 0 || rows_load(&rows, argv[2], &e) < 0 ? -1 : 0;
	if (!status) {
		struct fewshot_options o = { .num = strtoul(argv[3], NULL, 10),
			                     .select = (enum fewshot_select)fewshot_select_of(argv[4]),
			                     .seed = strtoul(argv[5], NULL, 10) };
		status = fewshot_new(&f, &examples, &o, &e);
	}
	if (!status && (status = fewshot_apply(f, &rows, &made, &e)) == 0)
		status = show(&made, &e);
	if (status)
		fprintf(stderr, "show-fewshot: %s\n", e.msg);
	fewshot_free(f);
	rows_release(&made);
	rows_release(&rows);
	rows_release(&examples);
	return status ? 1 : 0;
}

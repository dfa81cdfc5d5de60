/* test_known_states: states of rows in a run's file: found by the row, of the same model and layers alone, and a file
 * that is none is as if there were none. */
#include "../test.h"

#include <string.h>

#include "base/io.h"
#include "base/mem.h"
#include "ladder/known_states.h"

enum { ROWS = 5, LAYERS = 2, WIDTH = 3, EACH = LAYERS * WIDTH };
static const int layers[LAYERS] = { 1, 4 }, others[LAYERS] = { 1, 3 };

static size_t found(const char *dir, const char *model, const int *of, const struct rows *r, float *out)
{
	struct known_states k;
	size_t n = 0;

	known_states_open(&k, dir, model, of, LAYERS, WIDTH);
	for (size_t i = 0; i < r->n; i++)
		n += known_states_take(&k, r->items[i].json, out + i * EACH);
	if (k.missed != r->n - n)
		n = SIZE_MAX;
	known_states_close(&k);
	return n;
}

void test_known_states(struct test *t)
{
	char *dir = io_join(test_tmp(), "known-states"), *data = io_join(dir, "data"),
	     *model = io_join(dir, "model.gguf"), *path;
	struct row items[ROWS];
	struct rows all = { .items = items, .n = ROWS }, some = { .items = items + 1, .n = ROWS - 2 };
	float states[ROWS * EACH], out[ROWS * EACH] = { 0 };
	struct known_states k;
	struct err e;

	test_case(t, "states of rows are kept and found again, of the same model and layers alone");
	CHECK(t, io_mkdirs(data, &e) == 0 && io_write(model, "m", 1, &e) == 0);
	for (int i = 0; i < ROWS; i++)
		items[i] = (struct row){ .json = json_pack("{s:i}", "text", i) };
	for (int i = 0; i < ROWS * EACH; i++)
		states[i] = (float)i;
	CHECK(t, found(dir, model, layers, &all, out) == 0);
	known_states_open(&k, dir, model, layers, LAYERS, WIDTH);
	known_states_save(&k, &some, states + EACH, 2.5);
	path = mem_strdup(k.path);
	known_states_close(&k);
	CHECK(t, found(dir, model, layers, &all, out) == ROWS - 2);
	known_states_open(&k, dir, model, layers, LAYERS, WIDTH);
	CHECK(t, k.seconds == 2.5);
	known_states_close(&k);
	CHECK(t, !memcmp(out + EACH, states + EACH, sizeof(*states) * EACH * (ROWS - 2)) && out[0] == 0);
	CHECK(t, found(dir, model, others, &all, out) == 0);
	CHECK(t, io_write(model, "mm", 2, &e) == 0 && found(dir, model, layers, &all, out) == 0);
	CHECK(t, io_write(model, "m", 1, &e) == 0 && io_write(path, "nothing", 7, &e) == 0 &&
	                 found(dir, model, layers, &all, out) == 0);
	for (int i = 0; i < ROWS; i++)
		json_decref(items[i].json);
	mem_free(path);
	mem_free(model);
	mem_free(data);
	mem_free(dir);
}

/* beside: files, tuning and batches opened, moved on and closed together; what their calls share. */
#include "serve/beside.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "serve/batches.h"
#include "serve/files.h"
#include "serve/openai_parts.h"
#include "serve/tuning.h"

struct beside *beside_new(const struct beside_options *o)
{
	struct beside *b = mem_alloc(sizeof(*b));

	*b = (struct beside){ .o = *o, .lock = -1 };
	return b;
}

/* A new folder is its owner's alone: clients' files, prompts and answers lie in it. */
static int make_folder(const char *dir, struct err *e)
{
	char *parent = io_parent(dir);
	int status = io_mkdirs(parent, e);

	if (status == 0 && mkdir(dir, 0700) && errno != EEXIST)
		status = err_set(e, "--files-dir %s: %s", dir, strerror(errno));
	mem_free(parent);
	return status;
}

int beside_open(struct beside *b, struct err *e)
{
	if (make_folder(b->o.dir, e) < 0 || io_lock_dir(b->o.dir, &b->lock, e) < 0)
		return -1;
	if (files_open(b->o.dir, e) < 0 || tuning_new(&b->tuning, b, e) < 0)
		return -1;
	return batches_new(&b->batches, b, e);
}

void beside_models(struct beside *b)
{
	if (b && b->tuning)
		tuning_attach(b->tuning);
}

void beside_tick(struct beside *b)
{
	if (!b)
		return;
	tuning_tick(b->tuning);
	batches_tick(b->batches);
}

void beside_stop(struct beside *b, bool cut)
{
	if (!b)
		return;
	batches_stop(b->batches, cut);
	if (b->tuning)
		tuning_stop(b->tuning, cut);
}

void beside_free(struct beside *b)
{
	if (!b)
		return;
	batches_free(b->batches);
	tuning_free(b->tuning);
	if (b->lock >= 0)
		io_unlock(b->lock);
	mem_free(b);
}

bool beside_dir(struct openai *s, struct http_reply *r)
{
	if (!s->o.beside)
		openai_error(r, 400, "unsupported_value", NULL,
		             "Files are kept where --files-dir DIR says, and this "
		             "server was started without");
	return s->o.beside;
}

/* The number of a parameter from 1 to most; 0 and a refusal. */
static int limit_of(const struct http_request *q, int usual, int most, struct http_reply *r)
{
	const char *said = http_query(q, "limit");
	char *end = NULL;
	long limit = said ? strtol(said, &end, 10) : usual;

	if (said && (!*said || *end || limit < 1 || limit > most)) {
		openai_error(r, 400, "invalid_value", "limit", "'limit' is a number from 1 to %d", most);
		return 0;
	}
	return (int)limit;
}

static const char *id_of(const json_t *j) { return json_string_value(json_object_get(j, "id")); }

void beside_list(const struct http_request *q, const json_t *all, int usual, int most, struct http_reply *r)
{
	const char *after = http_query(q, "after"), *order = http_query(q, "order");
	int limit = limit_of(q, usual, most, r);
	bool forwards = order && !strcmp(order, "asc"), begun = !after;
	size_t n = json_array_size(all), left = 0;
	json_t *data = json_array();

	for (size_t i = 0; limit && i < n; i++) {
		json_t *j = json_array_get(all, forwards ? n - 1 - i : i);
		if (begun && json_array_size(data) < (size_t)limit)
			json_array_append(data, j);
		else if (begun)
			left++;
		else
			begun = !strcmp(id_of(j), after);
	}
	if (limit && !begun)
		openai_error(r, 400, "invalid_value", "after", "There is nothing here with the id '%.60s'", after);
	if (!limit || !begun) {
		json_decref(data);
		return;
	}
	size_t some = json_array_size(data);
	json_t *first = json_array_get(data, 0), *last = json_array_get(data, some ? some - 1 : 0);
	openai_reply(r,
	             json_pack("{s:s, s:s?, s:s?, s:b, s:o}", "object", "list", "first_id", some ? id_of(first) : NULL,
	                       "last_id", some ? id_of(last) : NULL, "has_more", left > 0, "data", data));
}

void beside_id(const char *prefix, char id[48])
{
	uint32_t random;

	if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
		random = (uint32_t)getpid();
	snprintf(id, 48, "%s%016llx%08x", prefix, (unsigned long long)(clock_wall_seconds() * 1e6), (unsigned)random);
}

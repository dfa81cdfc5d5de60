/* checkpoint: a run's weights and optimizer's state as one file of tensors, or one of each process that trains, and the
 * facts beside it.
 *
 * The hash in trainer_state.json covers every number of state.safetensors in the order of the parameters (the weights
 * of each, then its state), taken from memory when writing and from what was read when reading, so it proves what
 * counts: that the run goes on with the numbers that it had. A second hash covers trainer_state.json itself. Files are
 * read through a mapping whose pages are dropped as soon as they are copied, so that resuming needs no more memory than
 * the plan says. */
#include "train/checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/folder.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "format/safetensors.h"

enum { CHECKPOINT_FORMAT = 1, PIECE = 1 << 18 };
#define PREFIX "checkpoint-"
#define STATE "state.safetensors"
#define PART "state-%05d-of-%05d.safetensors"
#define FACTS "trainer_state.json"

size_t checkpoint_bytes(const struct params *p, const struct optim *o)
{
	size_t bytes = params_count(p) * sizeof(float);
	for (size_t i = 0; i < optim_slots(o); i++)
		bytes += o->slots[i].bytes;
	return bytes;
}

/* --- parts of a parameter: 0 is its weights, the others are its state --- */

static int parts_of(const struct checkpoint *c, size_t param)
{
	return c->optim ? 1 + (int)(c->optim->first[param + 1] - c->optim->first[param]) : 1;
}

static bool is_own(const struct checkpoint *c, size_t param)
{
	return !c->own || (param >= c->own[0] && param < c->own[1]);
}

/* Its data are of the memory that a checkpoint is written from and read into; NULL: another process has it. */
static struct st_tensor part_of(const struct checkpoint *c, size_t param, int part, struct arena *mem)
{
	const struct param *p = &c->params->items[param];
	size_t slot = part ? c->optim->first[param] + (size_t)part - 1 : 0;
	struct optim_tensor weights = { .name = "w", .dtype = DTYPE_F32, .n_dims = p->n_dims };
	const struct optim_tensor *x = part ? &c->optim->slots[slot].tensor : &weights;
	struct st_tensor out = { .name = arena_printf(mem, "%s.%s", x->name, p->name), .dtype = x->dtype,
		                 .n_dims = x->n_dims };

	memcpy(weights.dim, p->dim, sizeof(weights.dim));
	memcpy(out.dim, x->dim, sizeof(out.dim));
	if (is_own(c, param) || (!part && !c->apart))
		out.data = part ? optim_data(c->optim, slot) : c->params->w + p->offset;
	out.bytes = part ? c->optim->slots[slot].bytes : p->n * sizeof(float);
	return out;
}

/* All parts, those of one parameter beside each other. */
struct parts { struct arena mem; struct st_tensor *items; size_t n; };

/* What is no parameter's comes last: the numbers w, laid out as params are. */
static void list_beside(struct parts *all, const char *what, const struct params *params, float *w)
{
	for (size_t i = 0; i < params->n_items; i++) {
		const struct param *p = &params->items[i];
		struct st_tensor x = { .name = arena_printf(&all->mem, "%s.%s", what, p->name), .dtype = DTYPE_F32,
			               .n_dims = p->n_dims, .data = w + p->offset,
			               .bytes = p->n * sizeof(float) };
		memcpy(x.dim, p->dim, sizeof(x.dim));
		all->items[all->n++] = x;
	}
}

/* whole: also those that another process writes. */
static struct parts list_parts(const struct checkpoint *c, bool whole)
{
	struct parts all = { .mem = ARENA_INIT };
	size_t kept = c->kept ? c->kept->n_items : 0;
	all.items = arena_array(&all.mem, (2 + OPTIM_STATES) * c->params->n_items + kept, sizeof(*all.items));
	for (size_t i = 0; i < c->params->n_items; i++)
		for (int part = 0; part < parts_of(c, i) && (whole || is_own(c, i)); part++)
			all.items[all.n++] = part_of(c, i, part, &all.mem);
	if (c->kept && (whole || !c->part))
		list_beside(&all, "kept", c->kept, c->kept->w);
	if (c->reference && (whole || !c->part))
		list_beside(&all, "reference", c->params, c->reference);
	return all;
}

static void hash_parts(const struct parts *all, char hex[33])
{
	struct hash_stream *h = hash_begin();
	for (size_t i = 0; i < all->n; i++)
		hash_add(h, all->items[i].data, all->items[i].bytes);
	hash_end(h, hex);
}

static void put_hash(json_t *j, const char *key, const struct checkpoint *c)
{
	struct parts all = list_parts(c, false);
	char hash[33];
	hash_parts(&all, hash);
	json_object_set_new(j, key, json_string(hash));
	arena_release(&all.mem);
}

static void hash_facts(const json_t *j, char hex[33])
{
	json_t *copy = json_copy((json_t *)j);
	json_object_del(copy, "hash");
	char *text = jsonx_line(copy);
	hash_hex(text, strlen(text), hex);
	mem_free(text);
	json_decref(copy);
}

static json_t *read_facts(const char *path, struct err *e)
{
	char hash[33];
	json_t *j = jsonx_load_file(path, e);
	const char *stored = json_string_value(json_object_get(j, "hash"));

	if (!j)
		return NULL;
	if (json_is_object(j)) {
		hash_facts(j, hash);
		if (stored && !strcmp(stored, hash) &&
		    json_integer_value(json_object_get(j, "format")) == CHECKPOINT_FORMAT &&
		    json_is_object(json_object_get(j, "facts")))
			return j;
	}
	err_set(e, "%s: its hash is wrong: the file was damaged or changed", path);
	json_decref(j);
	return NULL;
}

static bool has_file(const char *dir, const char *name)
{
	char *path = io_join(dir, name);
	bool there = io_exists(path) && !io_is_dir(path);

	mem_free(path);
	return there;
}

/* One of the two is enough: the other may have been lost. */
static bool is_checkpoint(const char *dir) { return has_file(dir, STATE) || has_file(dir, FACTS); }

/* What a process leaves that was killed while it replaced one without io_exchange: the old one is taken back, or
 * goes. */
static int settle(const char *dir, struct err *e)
{
	char *old = folder_old(dir);
	int status = 0;

	if (is_checkpoint(old))
		status = io_exists(dir) ? io_remove_tree(old, e) : io_rename_dir(old, dir, e);
	mem_free(old);
	return status;
}

/* --- writing --- */

static int write_tensors(const char *path, const struct checkpoint *c, struct err *e)
{
	struct parts all = list_parts(c, false);
	int status = st_write(path, all.items, all.n, NULL, 0, NULL, NULL, e);
	arena_release(&all.mem);
	return status;
}

/* What was written beside so far. */
static json_t *list_files(const char *dir)
{
	struct err ignored = ERR_INIT;
	json_t *list = json_array();
	char **files;
	size_t n = 0;

	if (io_list(dir, &files, &n, &ignored) < 0)
		return list;
	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_string(files[i]));
	io_list_free(files, n);
	return list;
}

static void put_hashes(json_t *j, const struct checkpoint *c)
{
	struct checkpoint weights = *c;

	weights.optim = NULL;
	weights.reference = NULL;
	put_hash(j, "weights_hash", &weights);
	put_hash(j, "state_hash", c);
}

/* parts: of the files of several processes, or NULL. */
static int write_facts(const char *dir, const char *path, const struct checkpoint *c, json_t *parts, struct err *e)
{
	char hash[33];
	json_t *j = json_object();

	json_object_set_new(j, "format", json_integer(CHECKPOINT_FORMAT));
	json_object_set_new(j, "optimizer", json_string(c->optim->row->name));
	json_object_set(j, "facts", c->facts);
	json_object_set_new(j, "files", list_files(dir));
	if (parts)
		json_object_set(j, "parts", parts);
	else
		put_hashes(j, c);
	hash_facts(j, hash);
	json_object_set_new(j, "hash", json_string(hash));
	int status = jsonx_write_file(path, j, e);
	json_decref(j);
	return status;
}

int checkpoint_write_part(const char *dir, const struct checkpoint *c, json_t **facts, struct err *e)
{
	char name[64];

	snprintf(name, sizeof(name), PART, c->part + 1, c->parts);
	char *path = io_join(dir, name);
	int status = write_tensors(path, c, e);
	*facts = json_object();
	json_object_set_new(*facts, "file", json_string(name));
	if (!status)
		put_hashes(*facts, c);
	mem_free(path);
	return status;
}

/* *parts: new reference. */
static int write_parts(const char *dir, const struct checkpoint *c, json_t **parts, struct err *e)
{
	json_t *mine;

	*parts = json_array();
	if (c->call(c->ctx, dir, e) < 0)
		return -1;
	int status = checkpoint_write_part(dir, c, &mine, e);
	json_array_append_new(*parts, mine);
	return c->gather(c->ctx, status, *parts, e);
}

static int write_folder(const char *dir, const struct checkpoint *c, struct err *e)
{
	char *state = io_join(dir, STATE), *facts = io_join(dir, FACTS);
	json_t *parts = NULL;
	int status = c->own ? write_parts(dir, c, &parts, e) : write_tensors(state, c, e);

	if (!status && c->beside)
		status = c->beside(c->ctx, dir, e);
	if (!status)
		status = write_facts(dir, facts, c, parts, e);
	json_decref(parts);
	mem_free(state);
	mem_free(facts);
	return status;
}

/* What may be replaced: nothing, an empty folder, a checkpoint, also a damaged one. *replace: the last. */
static int look_at_place(const char *dir, bool *replace, struct err *e)
{
	bool empty;

	*replace = false;
	if (!io_exists(dir))
		return 0;
	if (!io_is_dir(dir))
		return err_set(e, "%s is a file, the folder of a checkpoint was wanted", dir);
	if (io_dir_is_empty(dir, &empty, e) < 0)
		return -1;
	*replace = !empty;
	if (empty || is_checkpoint(dir))
		return 0;
	return err_set(e, "%s is neither an empty folder nor a checkpoint, so it is not replaced", dir);
}

static bool names(const json_t *list, const char *name)
{
	size_t i;
	json_t *item;

	json_array_foreach(list, i, item)
		if (json_is_string(item) && !strcmp(json_string_value(item), name))
			return true;
	return false;
}

/* What neither the old one says to be its own nor the new one has was put there by somebody else. */
static int check_nothing_lost(const char *old, const char *new, struct err *e)
{
	struct err damaged = ERR_INIT;
	char **files, *path = io_join(old, FACTS);
	json_t *facts = read_facts(path, &damaged);
	size_t n;
	int status = io_list(old, &files, &n, e);

	for (size_t i = 0; !status && i < n; i++)
		if (!has_file(new, files[i]) && !names(json_object_get(facts, "files"), files[i]))
			status = err_set(e, "%s holds %s, which no checkpoint wrote, so it is not replaced", old,
			                 files[i]);
	if (files)
		io_list_free(files, n);
	json_decref(facts);
	mem_free(path);
	return status;
}

/* The folder that a place lies in. */
static int make_parent(const char *dir, struct err *e)
{
	char *parent = io_parent(dir);
	int status = io_mkdirs(parent, e);

	mem_free(parent);
	return status;
}

int checkpoint_write(const char *dir, const struct checkpoint *c, struct err *e)
{
	struct folder f;
	bool replace;

	if (settle(dir, e) < 0 || look_at_place(dir, &replace, e) < 0 || make_parent(dir, e) < 0 ||
	    folder_begin(&f, dir, e) < 0)
		return -1;
	if (write_folder(f.beside, c, e) == 0 && (!replace || check_nothing_lost(dir, f.beside, e) == 0))
		return replace ? folder_replace(&f, e) : folder_place(&f, e);
	folder_abort(&f);
	return -1;
}

/* --- reading --- */

/* The file's tensor of that name has to be as the run's; NULL: it is in none of the files. */
static int check_tensor(const char *where, const struct st_tensor *x, const struct st_tensor *want, struct err *e)
{
	bool fits = x && x->dtype == want->dtype && x->n_dims == want->n_dims && x->bytes == want->bytes;

	for (int i = 0; fits && i < want->n_dims; i++)
		fits = x->dim[i] == want->dim[i];
	if (fits)
		return 0;
	return err_set(e, "%s: %s %s", where, want->name,
	               x ? "has another shape or dtype than the run's" : "is missing");
}

/* Hashes or copies a tensor. A piece's pages go before the next comes, so that the file does not raise the peak of a
 * run that goes on; the piece before goes with it, because a fault maps pages around its own, and for that reason all
 * of the mapping goes at the end. */
static void take(const struct safetensors *s, const struct st_tensor *x, struct hash_stream *h, void *to)
{
	const char *from = x->data;

	for (size_t at = 0, n; at < x->bytes; at += n) {
		size_t before = MIN(at, (size_t)PIECE);
		n = MIN(x->bytes - at, (size_t)PIECE);
		if (h)
			hash_add(h, from + at, n);
		if (to)
			memcpy((char *)to + at, from + at, n);
		io_forget(&s->map, from + at - before, before + n);
	}
	io_forget(&s->map, s->map.data, s->map.size);
}

/* The files that it is in, one a process that has written. */
struct state_file { struct safetensors s; char *path; const char *hash; };
struct state_files { struct state_file *items; size_t n; };

static void close_files(struct state_files *f)
{
	for (size_t i = 0; i < f->n; i++) {
		st_close(&f->items[i].s);
		mem_free(f->items[i].path);
	}
	mem_free(f->items);
}

static int open_file(struct state_files *f, const char *dir, const char *name, const char *hash, struct err *e)
{
	struct state_file *x = &f->items[f->n];

	x->path = io_join(dir, name);
	x->hash = hash;
	if (st_open(&x->s, x->path, e) < 0) {
		mem_free(x->path);
		return -1;
	}
	f->n++;
	return 0;
}

static int open_files(struct state_files *f, const char *dir, const json_t *facts, const char *key, struct err *e)
{
	const json_t *parts = json_object_get(facts, "parts"), *part;
	size_t i;
	int status = 0;

	*f = (struct state_files){ .items = mem_array(MAX(json_array_size(parts), (size_t)1), sizeof(*f->items)) };
	if (!parts)
		return open_file(f, dir, STATE, json_string_value(json_object_get(facts, key)), e);
	json_array_foreach(parts, i, part) {
		const char *name = json_string_value(json_object_get(part, "file"));
		if (!name || strchr(name, '/'))
			return err_set(e, "%s: the name of part %zu of its state is none", dir, i);
		if (!status)
			status = open_file(f, dir, name, json_string_value(json_object_get(part, key)), e);
	}
	return status;
}

static int check_tensors(const struct state_files *f, const struct parts *all, struct err *e)
{
	for (size_t i = 0; i < all->n; i++) {
		const struct st_tensor *x = NULL;
		size_t k = 0;
		for (; k < f->n && !x; k++)
			x = st_find(&f->items[k].s, all->items[i].name);
		if (check_tensor(f->items[k - 1].path, x, &all->items[i], e) < 0)
			return -1;
	}
	return 0;
}

/* Hashes what a file has, or takes it. */
static void walk(const struct state_file *f, const struct parts *all, struct hash_stream *h)
{
	for (size_t i = 0; i < all->n; i++) {
		const struct st_tensor *x = st_find(&f->s, all->items[i].name);
		if (x)
			take(&f->s, x, h, h ? NULL : (void *)(uintptr_t)all->items[i].data);
	}
}

/* Nothing is copied before all of it is known to be right. */
static int verify(const struct state_files *f, const struct parts *all, struct err *e)
{
	char hash[33];

	if (check_tensors(f, all, e) < 0)
		return -1;
	for (size_t i = 0; i < f->n; i++) {
		struct hash_stream *h = hash_begin();
		walk(&f->items[i], all, h);
		hash_end(h, hash);
		if (!f->items[i].hash || strcmp(f->items[i].hash, hash) != 0)
			return err_set(e, "%s: its hash is wrong: the file was damaged or changed", f->items[i].path);
	}
	return 0;
}

static int read_tensors(const char *dir, const struct checkpoint *c, const json_t *facts, struct err *e)
{
	struct state_files files;
	int status = open_files(&files, dir, facts, c->optim ? "state_hash" : "weights_hash", e);
	struct parts all = list_parts(c, true);

	if (!status)
		status = verify(&files, &all, e);
	for (size_t i = 0; !status && i < files.n; i++)
		walk(&files.items[i], &all, NULL);
	arena_release(&all.mem);
	close_files(&files);
	return status;
}

static int check_optimizer(const char *dir, const struct checkpoint *c, const json_t *j, struct err *e)
{
	const char *theirs = json_string_value(json_object_get(j, "optimizer"));

	if (!c->optim || (theirs && !strcmp(theirs, c->optim->row->name)))
		return 0;
	return err_set(e, "%s: its state is that of %s, the run's optimizer is %s", dir,
	               theirs ? theirs : "an unnamed optimizer", c->optim->row->name);
}

static int read_all(const char *dir, struct checkpoint *c, struct err *e)
{
	char *facts = io_join(dir, FACTS);
	int status = -1;
	json_t *j = read_facts(facts, e);

	if (j && !check_optimizer(dir, c, j, e) && !read_tensors(dir, c, j, e)) {
		c->facts = json_incref(json_object_get(j, "facts"));
		status = 0;
	}
	json_decref(j);
	mem_free(facts);
	return status;
}

json_t *checkpoint_facts(const char *dir, struct err *e)
{
	if (!io_exists(dir) && settle(dir, e) < 0)
		return NULL;
	char *path = io_join(dir, FACTS);
	json_t *j = read_facts(path, e), *facts = json_incref(json_object_get(j, "facts"));
	json_decref(j);
	mem_free(path);
	return facts;
}

int checkpoint_read(const char *dir, struct checkpoint *c, struct err *e)
{
	return read_all(dir, c, e);
}

int checkpoint_read_weights(const char *dir, const struct params *params, const struct params *kept, struct err *e)
{
	struct checkpoint c = { .params = params, .kept = kept };
	if (read_all(dir, &c, e) < 0)
		return -1;
	json_decref(c.facts);
	return 0;
}

/* --- the folders of a run --- */

char *checkpoint_path(const char *run_dir, long step)
{
	return mem_printf("%s/" PREFIX "%ld", run_dir, step);
}

/* The step of a folder's name, −1 when it is no checkpoint's. */
static long step_of(const char *name)
{
	size_t n = strlen(PREFIX);
	char *end;
	if (strncmp(name, PREFIX, n) || name[n] < '0' || name[n] > '9')
		return -1;
	long step = strtol(name + n, &end, 10);
	return *end ? -1 : step;
}

static int by_step(const void *a, const void *b)
{
	long x = *(const long *)a, y = *(const long *)b;
	return x < y ? -1 : x > y;
}

int checkpoint_list(const char *run_dir, long **steps, size_t *n, struct err *e)
{
	char **names;
	size_t n_names;

	*steps = NULL;
	*n = 0;
	if (io_list(run_dir, &names, &n_names, e) < 0)
		return -1;
	*steps = mem_array(n_names, sizeof(**steps));
	for (size_t i = 0; i < n_names; i++)
		if (step_of(names[i]) >= 0)
			(*steps)[(*n)++] = step_of(names[i]);
	qsort(*steps, *n, sizeof(**steps), by_step);
	io_list_free(names, n_names);
	return 0;
}

/* The place's name is the first n bytes. */
static bool is_place(const char *name, size_t n)
{
	char *place = mem_strndup(name, n);
	bool yes = n && step_of(place) >= 0;

	mem_free(place);
	return yes;
}

static int sweep_one(const char *run_dir, const char *name, struct err *e)
{
	size_t old = folder_is_old(name);
	char *path = io_join(run_dir, name), *place = mem_strndup(path, strlen(path) - strlen(name) + old);
	int status = 0;

	if (is_place(name, folder_is_beside(name)))
		status = io_remove_tree(path, e);
	else if (is_place(name, old))
		status = settle(place, e);
	mem_free(path);
	mem_free(place);
	return status;
}

int checkpoint_sweep(const char *run_dir, struct err *e)
{
	char **names;
	size_t n;
	int status = 0;

	if (io_list(run_dir, &names, &n, e) < 0)
		return -1;
	for (size_t i = 0; !status && i < n; i++)
		status = sweep_one(run_dir, names[i], e);
	io_list_free(names, n);
	return status;
}

int checkpoint_prune(const char *run_dir, long limit, long keep, long also, struct err *e)
{
	long *steps;
	size_t n;
	int status = 0;

	if (checkpoint_list(run_dir, &steps, &n, e) < 0)
		return -1;
	/* The newest one stays whatever the limit, and so does `keep`. */
	long most = n && keep >= 0 && keep != steps[n - 1] ? MAX(limit, 2L) : MAX(limit, 1L);
	long surplus = (long)n - most;
	for (size_t i = 0; i + 1 < n; i++)
		surplus -= steps[i] == also && also != keep;
	for (size_t i = 0; !status && i + 1 < n && surplus > 0; i++)
		if (steps[i] != keep && steps[i] != also) {
			char *path = checkpoint_path(run_dir, steps[i]);
			status = io_remove_tree(path, e);
			mem_free(path);
			surplus--;
		}
	mem_free(steps);
	return status;
}

int checkpoint_drop_after(const char *run_dir, long step, struct err *e)
{
	long *steps;
	size_t n;
	int status = 0;

	if (checkpoint_list(run_dir, &steps, &n, e) < 0)
		return -1;
	for (size_t i = n; !status && i-- > 0 && steps[i] > step; ) {
		char *path = checkpoint_path(run_dir, steps[i]);
		status = io_remove_tree(path, e);
		mem_free(path);
	}
	mem_free(steps);
	return status;
}

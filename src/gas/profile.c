/* profile: the file of measured machines. See profile.h; the measuring is in profile_measure.c. */
#include "gas/profile.h"

#include <stdio.h>
#include <string.h>

#include "base/env.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"

char *profile_processor(void)
{
	static const char *const keys[] = { "model name", "Model", "Hardware" };
	struct buf text = BUF_INIT;
	struct err ignored = ERR_INIT;
	char *name = NULL;

	io_read(&text, "/proc/cpuinfo", &ignored);
	for (size_t i = 0; !name && i < ARRAY_LEN(keys); i++) {
		const char *at = strstr(buf_str(&text), keys[i]);
		const char *from = at ? strchr(at, ':') : NULL;
		if (from) {
			from += 1 + strspn(from + 1, " \t");
			name = mem_strndup(from, strcspn(from, "\n"));
		}
	}
	buf_release(&text);
	return name ? name : mem_strdup("unknown");
}

char *profile_path(void) { return env_state_file("machine.json"); }

/* --- one entry --- */

static json_t *shares_json(const struct profile *p)
{
	json_t *j = json_object();

	for (int i = 0; i < p->n_ops; i++)
		json_object_set_new(j, p->op[i].op, json_real(p->op[i].share));
	return j;
}

json_t *profile_json(const struct profile *p)
{
	json_t *j = json_pack("{s:s, s:s, s:i}", "processor", p->processor, "isa", p->isa, "threads", p->threads);

	json_object_set_new(j, "sgemm_flops", json_real(p->sgemm_flops));
	json_object_set_new(j, "int8_ops", json_real(p->int8_ops));
	json_object_set_new(j, "read_bytes", json_real(p->read_bytes));
	json_object_set_new(j, "copy_bytes", json_real(p->copy_bytes));
	json_object_set_new(j, "barrier_seconds", json_real(p->barrier_seconds));
	json_object_set_new(j, "op_shares", shares_json(p));
	json_object_set_new(j, "date", json_string(p->date));
	return j;
}

static int read_rate(const json_t *j, const char *key, double *out, struct err *e)
{
	if (jsonx_real(j, key, 0, out, e) < 0)
		return -1;
	return *out >= 0 ? 0 : err_set(e, "%s is %g", key, *out);
}

/* Older files have none; more than there is room for, or names too long, are of another version and are left out. */
static int read_shares(struct profile *p, json_t *shares, struct err *e)
{
	const char *op;
	json_t *value;

	json_object_foreach(shares, op, value) {
		if (!(json_number_value(value) > 0))
			return err_set(e, "op_shares: %s has no share above 0", op);
		if (p->n_ops == SPEEDS_OPS || strlen(op) >= SPEEDS_NAME)
			continue;
		snprintf(p->op[p->n_ops].op, SPEEDS_NAME, "%s", op);
		p->op[p->n_ops++].share = json_number_value(value);
	}
	return 0;
}

static int from_json(struct profile *p, const json_t *j, struct err *e)
{
	const char *processor, *isa, *date;
	long long threads;

	*p = (struct profile){ 0 };
	if (jsonx_string(j, "processor", "", &processor, e) < 0 || jsonx_string(j, "isa", "", &isa, e) < 0 ||
	    jsonx_string(j, "date", "", &date, e) < 0 || jsonx_int(j, "threads", 0, &threads, e) < 0 ||
	    read_rate(j, "sgemm_flops", &p->sgemm_flops, e) < 0 || read_rate(j, "int8_ops", &p->int8_ops, e) < 0 ||
	    read_rate(j, "read_bytes", &p->read_bytes, e) < 0 || read_rate(j, "copy_bytes", &p->copy_bytes, e) < 0 ||
	    read_rate(j, "barrier_seconds", &p->barrier_seconds, e) < 0 ||
	    read_shares(p, json_object_get(j, "op_shares"), e) < 0)
		return -1;
	snprintf(p->processor, sizeof(p->processor), "%s", processor);
	snprintf(p->isa, sizeof(p->isa), "%s", isa);
	snprintf(p->date, sizeof(p->date), "%s", date);
	p->threads = threads > 0 && threads < 1 << 20 ? (int)threads : 0;
	return 0;
}

struct speeds profile_speeds(const struct profile *p)
{
	struct speeds s = {
		.flops = p->sgemm_flops, .int_ops = p->int8_ops, .bytes = p->read_bytes, .n_ops = p->n_ops
	};

	memcpy(s.op, p->op, sizeof(s.op));
	return s;
}

static bool has_key(const struct profile *p, const char *processor, const char *isa, int threads)
{
	return !strncmp(p->processor, processor, sizeof(p->processor) - 1) && !strcmp(p->isa, isa) &&
	       p->threads == threads;
}

/* --- the file --- */

/* The list of entries, a new reference; NULL with a sentence, or with none when there is no file. */
static json_t *read_list(const char *path, struct err *e)
{
	if (!io_exists(path))
		return NULL;
	json_t *file = jsonx_load_file(path, e);
	json_t *list = json_incref(json_object_get(file, "profiles"));

	if (file && !json_is_array(list)) {
		err_set(e, "%s: no list named profiles", path);
		json_decref(list);
		list = NULL;
	}
	json_decref(file);
	return list;
}

int profile_load(struct profile *p, const char *path, const char *processor, const char *isa, int threads,
                 struct err *e)
{
	struct err why = ERR_INIT;
	json_t *list = read_list(path, &why);
	int status = why.msg[0] ? err_set(e, "%s", why.msg) : 1;

	for (size_t i = 0; status > 0 && i < json_array_size(list); i++) {
		if (from_json(p, json_array_get(list, i), e) < 0)
			status = err_prefix(e, "%s: profile %zu", path, i + 1);
		else if (has_key(p, processor, isa, threads))
			status = 0;
	}
	if (status)
		*p = (struct profile){ 0 };
	json_decref(list);
	return status;
}

static int write_list(const char *path, json_t *list, struct err *e)
{
	const char *name = io_basename(path);
	char *dir = mem_strndup(path, (size_t)(name - path));
	json_t *file = json_pack("{s:O}", "profiles", list);
	int status = *dir ? io_mkdirs(dir, e) : 0;

	if (status == 0)
		status = jsonx_write_file(path, file, e);
	json_decref(file);
	mem_free(dir);
	return status;
}

int profile_store(const struct profile *p, const char *path, struct err *e)
{
	struct err ignored = ERR_INIT;
	json_t *old = read_list(path, &ignored), *list = json_array();
	struct profile other;

	for (size_t i = 0; i < json_array_size(old); i++) {
		json_t *entry = json_array_get(old, i);
		if (from_json(&other, entry, &ignored) == 0 && !has_key(&other, p->processor, p->isa, p->threads))
			json_array_append(list, entry);
	}
	json_array_append_new(list, profile_json(p));
	int status = write_list(path, list, e);
	json_decref(old);
	json_decref(list);
	return status;
}

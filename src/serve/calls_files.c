/* files: what clients upload, as OpenAI's Files API has it. Kept in --files-dir (serve/files.h). */
#include "serve/openai_parts.h"

#include <string.h>

#include "base/io.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "serve/beside.h"
#include "serve/files.h"
#include "serve/multipart.h"

enum { FILENAME_MOST = 200 };

static json_t *found(struct openai *s, const struct http_request *q, char id[64], struct http_reply *r)
{
	openai_part(q, 2, id, 64);
	json_t *j = beside_dir(s, r) ? files_get(s->o.beside->o.dir, id) : NULL;
	if (!j && r->status < 400)
		openai_error(r, 404, "not_found", "file_id", "No such file: %.63s", id);
	return j;
}

static bool check_purpose(const char *purpose, struct http_reply *r)
{
	static const char *const known[] = { "fine-tune", "batch", "user_data", "evals", "assistants", "vision" };

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (purpose && !strcmp(purpose, known[i]))
			return true;
	openai_error(r, 400, "invalid_value", "purpose",
	             "'purpose' is one of fine-tune, batch, user_data, evals, "
	             "assistants, vision");
	return false;
}

static bool check_parts(const struct multipart *f, struct http_reply *r)
{
	for (size_t i = 0; i < f->n; i++)
		if (strcmp(f->part[i].name, "file") && strcmp(f->part[i].name, "purpose")) {
			openai_error(r, 400, "unknown_parameter", NULL, "'%.60s' is not known here", f->part[i].name);
			return false;
		}
	return true;
}

static void keep(struct openai *s, const struct multipart *f, struct http_reply *r)
{
	const struct multipart_part *file = multipart_find(f, "file"), *purpose = multipart_find(f, "purpose");
	char *what = purpose ? mem_strndup(purpose->data, purpose->n) : NULL;
	struct err e = ERR_INIT;
	const char *name = file && file->filename && *io_basename(file->filename) ? file->filename : "file";

	if (!check_parts(f, r) || !check_purpose(what, r))
		;
	else if (!file)
		openai_error(r, 400, "missing_parameter", "file", "'file' is not in the form");
	else if (!file->n)
		openai_error(r, 400, "invalid_value", "file", "The file is empty");
	else if (!utf8_valid(name, strlen(name), NULL) || strlen(name) > FILENAME_MOST)
		openai_error(r, 400, "invalid_value", "file", "The file's name is no UTF-8 of %d bytes at most",
		             FILENAME_MOST);
	else {
		json_t *j = files_add(s->o.beside->o.dir, name, what, file->data, file->n, &e);
		if (j)
			openai_reply(r, j);
		else
			openai_error(r, 500, "server_error", NULL, "%s", e.msg);
	}
	mem_free(what);
}

static void upload(struct openai *s, const struct http_request *q, const json_t *sent, struct http_reply *r)
{
	struct multipart f;
	struct err e = ERR_INIT;

	(void)sent;
	if (!beside_dir(s, r))
		return;
	if (!q->form) {
		openai_error(r, 400, "invalid_type", NULL,
		             "A file is uploaded as multipart/form-data, with 'file' and "
		             "'purpose'");
		return;
	}
	if (multipart_read(&f, q->form, q->body, q->n_body, &e) < 0)
		openai_error(r, 400, "invalid_form", NULL, "%s", e.msg);
	else
		keep(s, &f, r);
	multipart_release(&f);
}

static void list(struct openai *s, const struct http_request *q, const json_t *sent, struct http_reply *r)
{
	const char *purpose = http_query(q, "purpose");
	json_t *all, *some = json_array(), *j;
	size_t i;

	(void)sent;
	if (beside_dir(s, r)) {
		all = files_list(s->o.beside->o.dir);
		json_array_foreach (all, i, j)
			if (!purpose || !strcmp(json_string_value(json_object_get(j, "purpose")), purpose))
				json_array_append(some, j);
		json_decref(all);
		beside_list(q, some, 10000, 10000, r);
	}
	json_decref(some);
}

static void one(struct openai *s, const struct http_request *q, const json_t *sent, struct http_reply *r)
{
	char id[64];
	json_t *j = found(s, q, id, r);

	(void)sent;
	if (j)
		openai_reply(r, j);
}

static void content(struct openai *s, const struct http_request *q, const json_t *sent, struct http_reply *r)
{
	struct err e = ERR_INIT;
	char id[64];
	json_t *j = found(s, q, id, r);
	char *path = j ? files_path(s->o.beside->o.dir, id) : NULL;

	(void)sent;
	if (path && io_read(&r->body, path, &e) == 0)
		r->type = "application/octet-stream";
	else if (path)
		openai_error(r, 500, "server_error", NULL, "%s", e.msg);
	mem_free(path);
	json_decref(j);
}

static void delete (struct openai *s, const struct http_request *q, const json_t *sent, struct http_reply *r)
{
	struct err e = ERR_INIT;
	char id[64];
	json_t *j = found(s, q, id, r);

	(void)sent;
	if (j && files_remove(s->o.beside->o.dir, id, &e) == 0)
		openai_reply(r, json_pack("{s:s, s:s, s:b}", "id", id, "object", "file", "deleted", 1));
	else if (j)
		openai_error(r, 500, "server_error", NULL, "%s", e.msg);
	json_decref(j);
}

const struct calls calls_files = {
	.rows = (const struct call[]){ { "POST", (const char *const[]){ "/v1/files", NULL }, upload },
	                               { "GET", (const char *const[]){ "/v1/files", NULL }, list },
	                               { "GET", (const char *const[]){ "/v1/files/*/content", NULL }, content },
	                               { "GET", (const char *const[]){ "/v1/files/*", NULL }, one },
	                               { "DELETE", (const char *const[]){ "/v1/files/*", NULL }, delete },
	                               { 0 } },
};

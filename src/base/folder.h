/* folder: a folder that appears whole. It is written beside its place, under a name that is nobody else's and held
 * against other processes, and then takes the place in one step; a reader or a crash at any moment sees what was there
 * before or all of the new one.
 *
 *     folder_begin(&f, "out/model", &e);      makes out/model.kungfu-tmp-XXXXXX
 *     … write files into f.beside …
 *     folder_place(&f, &e) or folder_replace(&f, &e), or folder_abort(&f)
 *
 * What a killed process left beside is removed by the next that writes to the same place; but what takes long may be
 * begun by folder_begin_kept, and the next goes on with it. */
#ifndef BASE_FOLDER_H
#define BASE_FOLDER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct folder {
	char *path;     /* the place: links are followed, no slashes at its end */
	char *beside;   /* where it is written until then */
	char *part;     /* of folder_begin_kept: the folder that `beside` lies in, or NULL */
	int lock;
};

/* The folder that the place lies in must exist. After an error nothing is there to abort. */
int folder_begin(struct folder *f, const char *path, struct err *e);
/* The same, written in PATH.kungfu-part/new, which stays there when the process is killed, or by folder_leave; *found:
 * it was there. What has to be known to go on belongs beside it, into f->part, which goes when the folder is placed or
 * aborted. Another process that has it is named. */
int folder_begin_kept(struct folder *f, const char *path, bool *found, struct err *e);
void folder_leave(struct folder *f);
/* Where nothing or an empty folder was. An error has aborted, as below. */
int folder_place(struct folder *f, struct err *e);
/* The folder that is there makes room and is removed; the caller has looked at what it is. Where the file system cannot
 * exchange two names there is a moment in which the old one has the name of folder_old, and is whole. */
int folder_replace(struct folder *f, struct err *e);
void folder_abort(struct folder *f);      /* harmless after an end */

char *folder_old(const char *path);       /* PATH.kungfu-old; mem_free */
/* How long the place's name is, where `name` is one of those that its folder has beside it; else 0. */
size_t folder_is_beside(const char *name);
size_t folder_is_old(const char *name);

#endif

/* zip: where the entries of an archive lie that are stored as they are, as torch.save writes them, zip64 too. Source:
 * PKWARE's APPNOTE.TXT. Names, sizes and places are checked to lie inside the file; a packed entry is refused where it
 * is asked for. */
#ifndef FORMAT_ZIP_H
#define FORMAT_ZIP_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

struct zip_entry {
	const char *name;
	const uint8_t *data;      /* NULL: packed */
	size_t bytes;
};

struct zip {
	struct zip_entry *entry;  /* sorted by name */
	size_t n;
};

int zip_read(struct zip *z, struct arena *mem, const void *data, size_t size, const char *where, struct err *e);
const struct zip_entry *zip_find(const struct zip *z, const char *name);

#endif

/* tiles: what users of AMX share. Eight tiles of 16 rows of 64 bytes at most, whose sizes are configured where products
 * begin and released where they end, so that a thread that does something else has no 8 KiB to be saved. */
#ifndef KERNEL_TILES_H
#define KERNEL_TILES_H

#include <immintrin.h>
#include <stdint.h>

enum { LINE = 64 /* bytes of a tile's row */ };

/* gcc's tile loads do not say that they read memory. */
#define SETTLED() __asm__ volatile("" : : : "memory")

/* Palette 1's, as LDTILECFG reads it. */
struct tile_config {
	uint8_t palette, start_row, zero[14];
	uint16_t bytes[16];
	uint8_t rows[16];
};

#define tiles_begin(config) \
	do { \
		SETTLED(); \
		_tile_loadconfig(config); \
	} while (0)

#endif

// Has Tint, the WGSL compiler of Chromium and Dawn, read every shader in a folder: it sees what naga does not, such as
// barriers that only some threads reach. Run by Node with npm's `webgpu` at hand; needs no GPU.
//
//     POLYSCENE_WRITE_SHADERS=DIR cargo test --release --test compute every_variant
//     node tests/tint.mjs DIR

import { readFileSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

// From the folder one stands in: that is where `npm install webgpu` put it.
const require = createRequire(join(process.cwd(), 'package.json'));
const { create, globals } = await import(pathToFileURL(require.resolve('webgpu')));
Object.assign(globalThis, globals);

const folder = process.argv[2];
const files = readdirSync(folder).filter((name) => name.endsWith('.wgsl')).sort();
const adapter = await create(['backend=null']).requestAdapter();
const device = await adapter.requestDevice();
let refused = 0;
for (const name of files) {
    device.pushErrorScope('validation');
    const module = device.createShaderModule({ code: readFileSync(join(folder, name), 'utf8') });
    const { messages } = await module.getCompilationInfo();
    await device.popErrorScope();
    const errors = messages.filter(({ type }) => type === 'error');
    if (errors.length > 0) {
        refused += 1;
        if (refused <= 10) {
            console.log(`${name}:${errors[0].lineNum}: ${errors[0].message}`);
        }
    }
}
console.log(`${files.length} shaders, ${refused} refused`);
// An empty folder is a mistake.
process.exit(refused > 0 || files.length === 0 ? 1 : 0);

// Has Tint, the WGSL compiler of Chromium and Dawn, read every shader in a folder: it sees what naga does not, such as
// barriers that only some threads reach. Run by Node with npm's `webgpu` at hand; needs no GPU.
//
//     POLYSCENE_WRITE_SHADERS=DIR cargo test --release --test compute every_variant
//     node tests/tint.mjs DIR

import { spawnSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

// From the folder one stands in: that is where `npm install webgpu` put it.
const require = createRequire(join(process.cwd(), 'package.json'));
const { create, globals } = await import(pathToFileURL(require.resolve('webgpu')));
Object.assign(globalThis, globals);

const [folder, first, count] = process.argv.slice(2);
const files = readdirSync(folder).filter((name) => name.endsWith('.wgsl')).sort();

// The compiler's process does not live through thousands of shaders: each has some.
const EACH = 200;
if (first === undefined) {
    let refused = 0;
    for (let at = 0; at < files.length; at += EACH) {
        const child = spawnSync(process.execPath, [process.argv[1], folder, `${at}`, `${EACH}`], { stdio: 'inherit' });
        refused += child.status === 0 ? 0 : 1;
    }
    console.log(`${files.length} shaders, ${refused === 0 ? 'all accepted' : 'some refused'}`);
    // An empty folder is a mistake.
    process.exitCode = refused > 0 || files.length === 0 ? 1 : 0;
} else {
    // Kept in a variable: what it makes lives no longer than it.
    const gpu = create(['backend=null']);
    const adapter = await gpu.requestAdapter();
    const device = await adapter.requestDevice({ requiredFeatures: ['subgroups'] });
    for (const name of files.slice(+first, +first + +count)) {
        device.pushErrorScope('validation');
        const text = readFileSync(join(folder, name), 'utf8');
        // naga takes subgroups as given where the device has them, and does not know the directive.
        const code = text.includes('subgroup') ? `enable subgroups; ${text}` : text;
        const module = device.createShaderModule({ code });
        const { messages } = await module.getCompilationInfo();
        await device.popErrorScope();
        for (const { message, lineNum } of messages.filter(({ type }) => type === 'error').slice(0, 1)) {
            console.log(`${name}:${lineNum}: ${message}`);
            process.exitCode = 1;
        }
    }
    device.destroy();
}

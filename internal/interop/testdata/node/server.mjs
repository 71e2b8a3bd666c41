// A server of event streams that follows a script. The arguments are the encoder
// (better-sse, or none if the script contains encoded bytes), the file of the
// script, and optionally the files of a certificate and its key; with them it uses
// HTTP/2. It writes its port to standard output.
import { readFileSync } from 'node:fs'
import http from 'node:http'
import http2 from 'node:http2'
import { createEventBuffer, createSession } from 'better-sse'

const [encoder, file, certFile, keyFile] = process.argv.slice(2)
const script = JSON.parse(readFileSync(file, 'utf8'))

const requests = [] // the Last-Event-ID of each request
const reached = new Set() // the executed steps other than events
let received = () => {} // called when the client confirms a receipt

// Header fields are bytes, which Node decodes as Latin-1.
const asUTF8 = (text) => Buffer.from(text, 'latin1').toString('utf8')

// A stream has the functions send (an event), alone (a block with only an id), half
// (the first half of an event) and comment.
const encoders = {
  async 'better-sse'(req, res) {
    const session = await createSession(req, res, { retry: 20, keepAlive: 5 })
    const buffer = (fill) => {
      const b = createEventBuffer()
      fill(b)
      return b
    }
    const push = ({ data, type, id }) => buffer((b) => b.push(data, type || undefined, id))
    return {
      lastID: session.lastId,
      send: ({ data, type, id }) => session.push(data, type || undefined, id),
      alone: ({ id }) => session.batch(buffer((b) => b.id(id).dispatch())),
      half: (event) => {
        const text = push(event).read()
        return write(res, text.slice(0, text.length / 2))
      },
      comment: () => session.batch(buffer((b) => b.comment('nothing'))),
    }
  },

  async none(req, res) {
    res.writeHead(200, { 'Content-Type': 'Text/Event-Stream ; charset=utf-8' })
    await write(res, Buffer.from('\uFEFFretry: 20\r\n\r\n'), 1)
    const wire = (step) => Buffer.from(step.wire, 'base64')
    return {
      lastID: req.headers['last-event-id'] ?? '',
      send: (step) => write(res, wire(step), step.piece),
      alone: (step) => write(res, wire(step), 1),
      half: (step) => write(res, wire(step).subarray(0, wire(step).length / 2)),
      comment: () => write(res, Buffer.from(':\r: comment\n:\r\n'), 1),
    }
  },
}

// write writes bytes, in pieces if there is a size, and returns when the system has
// accepted them. Bytes that it has not accepted are lost when the connection is cut.
async function write(res, bytes, size) {
  for (let i = 0; i < bytes.length; i += size || bytes.length) {
    const piece = size ? bytes.subarray(i, i + size) : bytes
    await new Promise((resolve) => res.write(piece, resolve))
  }
}

// cut aborts the connection. On HTTP/2 it aborts only the stream by turns.
function cut(req, res) {
  if (req.httpVersionMajor !== 2) req.socket.destroy()
  else if (requests.length % 2) res.stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR)
  else res.stream.session.destroy()
}

async function serve(req, res) {
  const stream = await encoders[encoder](req, res)
  const lastID = asUTF8(stream.lastID)
  requests.push(lastID)
  let i = lastID
    ? script.findIndex(({ id, action }) => id === lastID && action !== 'cutInside') + 1
    : 0
  for (; i < script.length; i++) {
    const step = script[i]
    if (step.action === 'send') {
      const confirmed = new Promise((resolve) => { received = resolve })
      await stream.send(step)
      if (step.type === 'receipt') await confirmed
    } else if (step.action === 'heartbeats') {
      await stream.comment()
    } else if (!reached.has(i)) {
      reached.add(i)
      if (step.action === 'idOnly') {
        await stream.alone(step)
        continue
      }
      if (step.action === 'end') return res.end()
      if (step.action === 'cutInside') await stream.half(step)
      return cut(req, res)
    }
  }
}

function route(req, res) {
  switch (req.url) {
    case '/events':
      return serve(req, res)
    case '/receipt':
      received()
      return res.end()
    case '/requests':
      return res.end(JSON.stringify(requests))
  }
  res.statusCode = 404
  res.end()
}

const server = certFile
  ? http2.createSecureServer({ cert: readFileSync(certFile), key: readFileSync(keyFile) }, route)
  : http.createServer(route)
server.listen(0, '127.0.0.1', () => console.log(server.address().port))

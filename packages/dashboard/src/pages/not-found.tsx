export const NotFound = () => (
  <main style={{ padding: 48, textAlign: 'center' }}>
    <h1>No such page</h1>
    <p>The address may be from another version of the dashboard.</p>
    <p>
      <a href="/">Go to the start page</a>
    </p>
  </main>
);

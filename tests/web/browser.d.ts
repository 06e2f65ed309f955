// What the page's scripts use of others; uPlot comes as a global.
declare const uPlot: any;
